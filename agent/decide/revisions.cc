#include "agent/decide/revisions.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/base/digest.h"
#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_object.h"
#include "agent/model/selectors.h"

namespace daemonsetd::decide {
namespace {

constexpr std::size_t kMaxNameLength = 253;  // a DNS subdomain
constexpr int kCollisionSuffixLength = 10;
constexpr std::int32_t kDefaultHistoryLimit = 10;

enum class Claim { kNone, kOwned, kAdopt, kRelease };

// Upstream's ClaimObject, for a DaemonSet that stays.
Claim ClaimOf(const appsv1::DaemonSet& daemon_set, const appsv1::ControllerRevision& revision) {
  const metav1::ObjectMeta& metadata = revision.metadata();
  const Result<bool> matches = model::Matches(daemon_set.spec().selector(), metadata.labels());
  if (!matches) return Claim::kNone;
  if (const metav1::OwnerReference* owner = ControllerOf(metadata)) {
    if (owner->uid() != daemon_set.metadata().uid()) return Claim::kNone;
    return *matches ? Claim::kOwned : Claim::kRelease;
  }
  return *matches && !metadata.has_deletiontimestamp() ? Claim::kAdopt : Claim::kNone;
}

void RemoveOwner(const std::string& uid, metav1::ObjectMeta& metadata) {
  auto& owners = *metadata.mutable_ownerreferences();
  owners.erase(std::remove_if(owners.begin(), owners.end(), [&](const auto& owner) { return owner.uid() == uid; }),
               owners.end());
}

// TemplateHash of the template that it holds; empty when it holds none.
std::string HashOf(const appsv1::ControllerRevision& revision) {
  const auto pod_template = TemplateOf(revision);
  return pod_template ? TemplateHash(*pod_template) : "";
}

struct Revision {
  const appsv1::ControllerRevision* object = nullptr;
  std::string label;          // controller-revision-hash; empty: it has none
  std::string template_hash;  // of what it holds; the built-in controller and users write other labels than this
  bool orphan = false;
  bool terminating = false;

  const std::string& name() const { return object->metadata().name(); }
  std::int64_t number() const { return object->revision(); }
};

std::string NameOfNew(const appsv1::DaemonSet& daemon_set, const std::string& template_hash) {
  const std::int32_t collisions = daemon_set.status().collisioncount();
  const std::string suffix = collisions > 0
                                 ? SafeSuffix(fmt::format("{}/{}", template_hash, collisions), kCollisionSuffixLength)
                                 : template_hash;
  std::string front = daemon_set.metadata().name().substr(0, kMaxNameLength - suffix.size() - 1);
  front.resize(front.find_last_not_of("-.") + 1);  // ".-" is in no name, and a cut may leave it
  return front + "-" + suffix;
}

appsv1::ControllerRevision NewRevision(const appsv1::DaemonSet& daemon_set, const std::string& template_hash) {
  appsv1::ControllerRevision created;
  metav1::ObjectMeta& metadata = *created.mutable_metadata();
  metadata.set_name(NameOfNew(daemon_set, template_hash));
  metadata.set_namespace_(daemon_set.metadata().namespace_());
  *metadata.mutable_labels() = daemon_set.spec().template_().metadata().labels();
  (*metadata.mutable_labels())[kRevisionHashLabel] = template_hash;
  // All of them, as upstream does: kubernetes.io/change-cause is what `kubectl rollout history` shows.
  *metadata.mutable_annotations() = daemon_set.metadata().annotations();
  *metadata.add_ownerreferences() = OwnerReferenceTo(daemon_set);
  return created;
}

// An empty selector would adopt every revision of the namespace that has no owner.
bool SelectsEverything(const metav1::LabelSelector& selector) {
  return selector.matchlabels().empty() && selector.matchexpressions().empty();
}

class Planner {
 public:
  explicit Planner(const RevisionInput& input) : input_(input), set_(*input.daemon_set) {
    for (const RevisionInput::PodLabel& pod : input.pods) pod_hashes_.insert(pod.hash);
  }

  RevisionPlan Plan() {
    appsv1::ControllerRevision created = NewRevision(set_, input_.template_hash);
    // No API server keeps a DaemonSet whose selector takes everything or misses its own template: each plan would
    // create the revision and release it again.
    if (set_.metadata().has_deletiontimestamp() || SelectsEverything(set_.spec().selector()) ||
        ClaimOf(set_, created) != Claim::kOwned) {
      return {};
    }
    SortOut();
    RelabelPods();
    if (current_.empty()) {
      plan_.current = NextNumber();
      plan_.current_name = created.metadata().name();
      created.set_revision(plan_.current);
      plan_.actions.emplace_back(revision::Create{std::move(created)});
    } else {
      Keep(current_.front());
      std::for_each(std::next(current_.begin()), current_.end(), [&](const Revision& copy) { Drop(copy); });
    }
    TrimHistory();
    return std::move(plan_);
  }

 private:
  // Fills current_, best first, and old_, oldest first. A revision without the hash label gets none while it is old,
  // unlike upstream, where it gets its own name: no pod carries that, and once it is current it gets the template's.
  void SortOut() {
    for (const appsv1::ControllerRevision* object : input_.revisions) {
      const Claim claim = ClaimOf(set_, *object);
      if (claim == Claim::kNone) continue;
      if (claim == Claim::kRelease) {
        appsv1::ControllerRevision released = *object;
        RemoveOwner(set_.metadata().uid(), *released.mutable_metadata());
        Update(std::move(released), {"its labels no longer match the selector: release it"});
        continue;
      }
      const Revision revision{.object = object,
                              .label = ValueOf(object->metadata().labels(), kRevisionHashLabel),
                              .template_hash = HashOf(*object),
                              .orphan = claim == Claim::kAdopt,
                              .terminating = object->metadata().has_deletiontimestamp()};
      (revision.template_hash == input_.template_hash ? current_ : old_).push_back(revision);
    }
    std::sort(current_.begin(), current_.end(), [&](const Revision& a, const Revision& b) {
      const auto rank = [&](const Revision& r) {
        return std::tuple(!r.terminating, r.label == input_.template_hash, r.number());
      };
      return rank(a) != rank(b) ? rank(a) > rank(b) : a.name() < b.name();
    });
    std::sort(old_.begin(), old_.end(), [](const Revision& a, const Revision& b) {
      return std::pair(a.number(), std::string_view(a.name())) < std::pair(b.number(), std::string_view(b.name()));
    });
  }

  // A label that belongs to another template too does not tell which of both a pod runs: such a pod counts as old,
  // which ends in the present template in any case.
  void RelabelPods() {
    std::set<std::string> hashes;
    for (const Revision& revision : current_) hashes.insert(revision.label);
    for (const Revision& revision : old_) {
      hashes.erase(revision.label);
      hashes.erase(revision.template_hash);
    }
    hashes.erase(input_.template_hash);
    hashes.erase("");
    for (const RevisionInput::PodLabel& pod : input_.pods) {
      if (!hashes.contains(pod.hash)) continue;
      plan_.actions.emplace_back(revision::LabelPod{pod.pod_id, input_.template_hash});
      awaited_.insert(pod.hash);
    }
  }

  std::int64_t NextNumber() const {
    const std::int64_t highest = std::max<std::int64_t>(0, old_.empty() ? 0 : old_.back().number());
    return highest < std::numeric_limits<std::int64_t>::max() ? highest + 1 : highest;
  }

  void Keep(const Revision& kept) {
    appsv1::ControllerRevision wanted = *kept.object;
    std::vector<std::string> reasons;
    if (kept.orphan) Adopt(wanted, reasons);
    // Its old label is all that tells that the pods which carry it run this template.
    if (kept.label != input_.template_hash && !awaited_.contains(kept.label)) {
      (*wanted.mutable_metadata()->mutable_labels())[kRevisionHashLabel] = input_.template_hash;
      reasons.push_back(fmt::format("its hash label \"{}\" becomes {}", kept.label, input_.template_hash));
    }
    plan_.current = std::max(kept.number(), NextNumber());
    plan_.current_name = kept.name();
    if (plan_.current != kept.number()) {
      wanted.set_revision(plan_.current);
      reasons.push_back(fmt::format("its number {} becomes {}", kept.number(), plan_.current));
    }
    if (!reasons.empty()) Update(std::move(wanted), reasons, kept.orphan);
  }

  void Drop(const Revision& copy) {
    if (copy.orphan) return AdoptOnly(copy);
    if (!awaited_.contains(copy.label)) {
      Delete(copy, fmt::format("it holds the same template as {}", plan_.current_name));
    }
  }

  bool IsCarried(const std::string& hash) const { return !hash.empty() && pod_hashes_.contains(hash); }

  void TrimHistory() {
    const std::int32_t limit =
        set_.spec().has_revisionhistorylimit() ? set_.spec().revisionhistorylimit() : kDefaultHistoryLimit;
    std::int64_t surplus = std::count_if(old_.begin(), old_.end(), [](const Revision& r) { return !r.terminating; });
    surplus -= std::max(limit, 0);
    for (const Revision& revision : old_) {
      const bool in_use = IsCarried(revision.label) || IsCarried(revision.template_hash);
      const bool goes = surplus > 0 && !in_use && !revision.terminating;
      if (goes) --surplus;
      if (revision.orphan) {
        AdoptOnly(revision);
      } else if (goes) {
        Delete(revision, fmt::format("revisionHistoryLimit is {}", limit));
      }
    }
  }

  void Adopt(appsv1::ControllerRevision& wanted, std::vector<std::string>& reasons) const {
    RemoveOwner(set_.metadata().uid(), *wanted.mutable_metadata());  // an entry of ours that controls nothing
    *wanted.mutable_metadata()->add_ownerreferences() = OwnerReferenceTo(set_);
    reasons.emplace_back("its labels match the selector: adopt it");
  }
  // What is not ours yet is not deleted: the next plan does it.
  void AdoptOnly(const Revision& orphan) {
    appsv1::ControllerRevision wanted = *orphan.object;
    std::vector<std::string> reasons;
    Adopt(wanted, reasons);
    Update(std::move(wanted), reasons, /*adopts=*/true);
  }

  void Update(appsv1::ControllerRevision wanted, const std::vector<std::string>& reasons, bool adopts = false) {
    std::string reason = fmt::format("{}", fmt::join(reasons, "; "));
    plan_.actions.emplace_back(revision::Update{std::move(wanted), std::move(reason), adopts});
  }
  void Delete(const Revision& revision, std::string reason) {
    // One that is being deleted stays as long as a finalizer holds it.
    if (revision.terminating) return;
    const metav1::ObjectMeta& metadata = revision.object->metadata();
    plan_.actions.emplace_back(revision::Delete{metadata.name(), metadata.uid(), std::move(reason)});
  }

  const RevisionInput& input_;
  const appsv1::DaemonSet& set_;
  std::set<std::string> pod_hashes_;
  std::vector<Revision> current_, old_;
  std::set<std::string> awaited_;  // hashes of pods that this plan relabels
  RevisionPlan plan_;
};

}  // namespace

std::string Describe(const RevisionAction& action) {
  struct Words {
    std::string operator()(const revision::Create& a) const {
      return fmt::format("create revision {} with number {}", a.object.metadata().name(), a.object.revision());
    }
    std::string operator()(const revision::Update& a) const {
      return fmt::format("update revision {}: {}", a.object.metadata().name(), a.reason);
    }
    std::string operator()(const revision::Delete& a) const {
      return fmt::format("delete revision {}: {}", a.name, a.reason);
    }
    std::string operator()(const revision::LabelPod& a) const {
      return fmt::format("label pod {} with {}", a.pod_id, a.hash);
    }
  };
  return std::visit(Words{}, action);
}

RevisionPlan PlanRevisions(const RevisionInput& input) { return Planner(input).Plan(); }

RevisionCollision JudgeCollision(const appsv1::DaemonSet& daemon_set, const std::string& template_hash,
                                 const appsv1::ControllerRevision& existing) {
  const Claim claim = ClaimOf(daemon_set, existing);
  const bool counts = claim == Claim::kOwned || claim == Claim::kAdopt;
  return counts && HashOf(existing) == template_hash ? RevisionCollision::kOurs : RevisionCollision::kOther;
}

}  // namespace daemonsetd::decide
