// A server's revisions and pods, among which people, the built-in controller and a failing network do as they like,
// while the plans are carried out. What has to hold whatever happens is asserted at each step.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/revisions.h"
#include "agent/model/codec.h"
#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

constexpr unsigned kSeeds = 24;
constexpr int kSteps = 40;
constexpr int kRoundsToSettle = 8;
constexpr char kUid[] = "set-uid";

struct TemplateFacts {
  corev1::PodTemplateSpec message;
  std::string hash, data;
};

const std::vector<TemplateFacts>& Templates() {
  static const std::vector<TemplateFacts> all = [] {
    std::vector<TemplateFacts> templates;
    for (const char* image : {"a", "b", "c", "d"}) {
      appsv1::DaemonSet set;
      *set.mutable_spec()->mutable_template_() = FromYaml<corev1::PodTemplateSpec>(fmt::format(
          "{{metadata: {{labels: {{app: log}}}}, spec: {{containers: [{{name: log, image: {}}}]}}}}", image));
      templates.push_back({set.spec().template_(), TemplateHash(set.spec().template_()),
                           *RevisionData(model::EncodeJson(set, "apps/v1", "DaemonSet"))});
    }
    return templates;
  }();
  return all;
}

std::string ControllerOf(const appsv1::ControllerRevision& revision) {
  for (const metav1::OwnerReference& owner : revision.metadata().ownerreferences()) {
    if (owner.controller()) return owner.uid();
  }
  return "";
}

struct Pod {
  int runs = 0;  // index of its template, which its label need not tell
  std::string label;
};

class World {
 public:
  // An honest world gives no label to two templates.
  World(unsigned seed, bool honest) : random_(seed), honest_(honest) {
    set_.mutable_metadata()->set_name("log");
    set_.mutable_metadata()->set_namespace_("kube-system");
    set_.mutable_metadata()->set_uid(kUid);
    (*set_.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = "log";
    SetTemplate(0);
  }

  // ---- What others do

  void Event() {
    switch (Pick(14)) {
      case 0:
      case 1: SetTemplate(Pick(4)); break;
      case 2: MadeByTheBuiltInController(); break;
      case 3: Copy(); break;
      case 4: NameTaken(); break;
      case 5:
        if (auto* revision = Any()) revision->mutable_metadata()->clear_ownerreferences();
        break;
      case 6:
        if (auto* revision = Any()) (*revision->mutable_metadata()->mutable_labels())["app"] = Pick(2) ? "log" : "x";
        break;
      case 7:
        if (auto* revision = Any()) SetOwner(*revision, "another");
        break;
      case 8:
        if (auto* revision = Any()) Remove(revision->metadata().name());
        break;
      case 9: set_.mutable_spec()->set_revisionhistorylimit(Pick(4)); break;
      case 10:
        if (!pods_.empty()) pods_.erase(std::next(pods_.begin(), Pick(static_cast<int>(pods_.size()))));
        break;
      case 11:
        if (auto* revision = Any()) finalized_.insert(revision->metadata().uid());
        break;
      default: pods_[fmt::format("pod-{}", ++count_)] = {current_, Templates()[current_].hash}; break;
    }
    for (auto& [name, revision] : revisions_) Touch(revision);  // what was seen before the event is outdated
  }

  void Calm() {
    failures_ = false;
    finalized_.clear();
    for (auto revision = revisions_.begin(); revision != revisions_.end();) {
      revision = revision->second.metadata().has_deletiontimestamp() ? revisions_.erase(revision) : std::next(revision);
    }
    NoteClaims();
  }

  // ---- The coordinator

  RevisionPlan Plan() {
    seen_ = revisions_;
    seen_pods_ = pods_;
    RevisionInput input{.daemon_set = &set_, .template_hash = Templates()[current_].hash};
    for (const auto& [name, revision] : seen_) input.revisions.push_back(&revision);
    for (const auto& [id, pod] : pods_) input.pods.push_back({id, pod.label});
    const RevisionPlan plan = PlanRevisions(input);
    std::shuffle(input.revisions.begin(), input.revisions.end(), random_);
    EXPECT_EQ(Describe(PlanRevisions(input)), Describe(plan)) << "depends on the order of the list";
    return plan;
  }
  static std::string Describe(const RevisionPlan& plan) {
    std::multiset<std::string> lines;
    for (const RevisionAction& action : plan.actions) lines.insert(decide::Describe(action));
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
  }

  void CheckPlan(const RevisionPlan& plan) const {
    std::set<std::string> labelled, touched;
    bool creates = false;
    for (const RevisionAction& action : plan.actions) {
      if (const auto* label = std::get_if<revision::LabelPod>(&action)) labelled.insert(label->pod_id);
      creates = creates || std::holds_alternative<revision::Create>(action);
    }
    for (const RevisionAction& action : plan.actions) {
      SCOPED_TRACE(decide::Describe(action));
      if (const auto* label = std::get_if<revision::LabelPod>(&action)) {
        const Pod& pod = seen_pods_.at(label->pod_id);
        EXPECT_EQ(label->hash, Templates()[current_].hash);
        EXPECT_NE(label->hash, pod.label) << "without need";
        if (honest_) {
          EXPECT_EQ(pod.runs, current_) << "a pod of another template is said to be updated";
        }
      } else if (const auto* update = std::get_if<revision::Update>(&action)) {
        const appsv1::ControllerRevision& before = seen_.at(update->object.metadata().name());
        EXPECT_TRUE(touched.insert(before.metadata().name()).second) << "twice";
        EXPECT_EQ(update->adopts, ControllerOf(before).empty());
        EXPECT_NE(ControllerOf(before), "another");
        EXPECT_FALSE(google::protobuf::util::MessageDifferencer::Equals(update->object, before)) << "without need";
        EXPECT_GE(update->object.revision(), before.revision());
        EXPECT_EQ(update->object.data().raw(), before.data().raw()) << "a server refuses that";
        CheckStillKnown(before, update->object, labelled);
      } else if (const auto* deletion = std::get_if<revision::Delete>(&action)) {
        const appsv1::ControllerRevision& before = seen_.at(deletion->name);
        EXPECT_TRUE(touched.insert(deletion->name).second) << "twice";
        EXPECT_EQ(ControllerOf(before), kUid);
        EXPECT_FALSE(before.metadata().has_deletiontimestamp());
        // An old one may have the name that the new one is to get.
        EXPECT_TRUE(creates || deletion->name != plan.current_name);
        CheckStillKnown(before, {}, labelled);
      }
    }
  }

  void Apply(const RevisionPlan& plan) {
    for (const RevisionAction& action : plan.actions) {
      if (failures_ && Pick(3) == 0) continue;
      std::visit([this](const auto& a) { Do(a); }, action);
    }
    // A finalizer is done with it.
    for (const std::string& uid : std::set<std::string>(finalized_)) {
      if (Pick(3) == 0) Finish(uid);
    }
    if (failures_ && Pick(2) == 0) Event();
  }

  void CheckSettled(const RevisionPlan& plan) const {
    const std::string& hash = Templates()[current_].hash;
    int current = 0;
    std::set<std::string> carried;
    for (const auto& [id, pod] : pods_) carried.insert(pod.label);
    std::int64_t old = 0, unused = 0;
    for (const auto& [name, revision] : revisions_) {
      SCOPED_TRACE(name);
      const bool matches = ValueOf(revision.metadata().labels(), "app") == "log";
      EXPECT_NE(ControllerOf(revision), matches ? "" : kUid);
      if (ControllerOf(revision) != kUid) continue;
      if (revision.data().raw() == Templates()[current_].data) {
        ++current;
        EXPECT_EQ(name, plan.current_name);
        EXPECT_EQ(revision.revision(), plan.current);
        EXPECT_EQ(ValueOf(revision.metadata().labels(), kRevisionHashLabel), hash);
      } else {
        ++old;
        EXPECT_LT(revision.revision(), plan.current);
        if (!InUse(revision, carried)) ++unused;
      }
    }
    EXPECT_EQ(current, 1);
    if (unused > 0) EXPECT_LE(old, set_.spec().has_revisionhistorylimit() ? set_.spec().revisionhistorylimit() : 10);
    for (const auto& [id, runs] : known_pods_) {
      if (runs == current_) EXPECT_EQ(pods_.at(id).label, hash) << id << " would be replaced without need";
    }
  }

 private:
  int Pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  appsv1::ControllerRevision* Any() {
    if (revisions_.empty()) return nullptr;
    return &std::next(revisions_.begin(), Pick(static_cast<int>(revisions_.size())))->second;
  }
  void SetTemplate(int index) {
    current_ = index;
    *set_.mutable_spec()->mutable_template_() = Templates()[index].message;
  }
  void Touch(appsv1::ControllerRevision& revision) {
    if (Pick(4) == 0) revision.mutable_metadata()->set_resourceversion(fmt::format("{}", ++count_));
  }
  static void SetOwner(appsv1::ControllerRevision& revision, const std::string& uid) {
    revision.mutable_metadata()->clear_ownerreferences();
    metav1::OwnerReference& owner = *revision.mutable_metadata()->add_ownerreferences();
    owner.set_uid(uid);
    owner.set_controller(true);
  }
  static bool InUse(const appsv1::ControllerRevision& revision, const std::set<std::string>& carried) {
    const std::string label = ValueOf(revision.metadata().labels(), kRevisionHashLabel);
    const auto pod_template = TemplateOf(revision);
    return carried.contains(label) || (pod_template && carried.contains(TemplateHash(*pod_template)));
  }

  appsv1::ControllerRevision& Post(const std::string& name, int index, const std::string& label) {
    appsv1::ControllerRevision& revision = revisions_[name];
    revision.Clear();
    metav1::ObjectMeta& metadata = *revision.mutable_metadata();
    metadata.set_name(name);
    metadata.set_uid(fmt::format("uid-{}", ++count_));
    metadata.set_resourceversion(fmt::format("{}", ++count_));
    (*metadata.mutable_labels())["app"] = "log";
    if (!label.empty()) (*metadata.mutable_labels())[kRevisionHashLabel] = label;
    SetOwner(revision, kUid);
    revision.mutable_data()->set_raw(index < 0 ? "{" : Templates()[index].data);
    return revision;
  }
  void MadeByTheBuiltInController() {
    const std::string label = fmt::format("upstream{}", current_);
    std::int64_t highest = 0;
    for (const auto& [name, revision] : revisions_) highest = std::max(highest, revision.revision());
    Post("log-" + label, current_, label).set_revision(highest + 1);
    for (int i = Pick(3); i > 0; --i) pods_[fmt::format("pod-{}", ++count_)] = {current_, label};
  }
  void Copy() {
    const int index = Pick(5) - 1;
    std::string label = fmt::format("copy{}", ++count_);
    if (Pick(3) == 0) label.clear();
    if (!honest_) {
      const int liar = Pick(4);
      label = Pick(2) == 0 ? Templates()[liar].hash : fmt::format("upstream{}", liar);
    }
    Post(fmt::format("log-{}", ++count_), index, label).set_revision(Pick(12));
    if (!label.empty() && index >= 0) pods_[fmt::format("pod-{}", ++count_)] = {index, label};
  }
  // Somebody made an object of the name that ours will have.
  void NameTaken() {
    const int index = Pick(5) - 1;
    const std::string label = index < 0 ? fmt::format("taken{}", ++count_) : Templates()[index].hash;
    appsv1::ControllerRevision& revision = Post("log-" + Templates()[Pick(4)].hash, index, label);
    if (Pick(2) == 0) revision.mutable_metadata()->clear_ownerreferences();
    if (Pick(3) == 0) SetOwner(revision, "another");
  }
  void Remove(const std::string& name) {
    metav1::ObjectMeta& metadata = *revisions_.at(name).mutable_metadata();
    if (finalized_.contains(metadata.uid())) {
      metadata.mutable_deletiontimestamp()->set_seconds(1'800'000'000);
    } else {
      revisions_.erase(name);
    }
  }
  void Finish(const std::string& uid) {
    finalized_.erase(uid);
    for (auto revision = revisions_.begin(); revision != revisions_.end(); ++revision) {
      if (revision->second.metadata().uid() != uid) continue;
      if (revision->second.metadata().has_deletiontimestamp()) revisions_.erase(revision);
      return;
    }
  }

  // Pods whose label a revision of ours explains; their label must not be forgotten before they are relabelled.
  void NoteClaims() {
    if (!honest_) return;
    for (const auto& [id, pod] : pods_) {
      for (const auto& [name, revision] : revisions_) {
        const bool ours = ControllerOf(revision) != "another" && ValueOf(revision.metadata().labels(), "app") == "log";
        if (!ours || ValueOf(revision.metadata().labels(), kRevisionHashLabel) != pod.label) continue;
        if (revision.data().raw() == Templates()[pod.runs].data) known_pods_[id] = pod.runs;
      }
    }
  }
  // A revision of the present template loses its label, or goes: no pod is left whose template only it tells.
  void CheckStillKnown(const appsv1::ControllerRevision& before, const appsv1::ControllerRevision& after,
                       const std::set<std::string>& labelled) const {
    const std::string label = ValueOf(before.metadata().labels(), kRevisionHashLabel);
    if (!honest_ || label.empty() || ValueOf(after.metadata().labels(), kRevisionHashLabel) == label) return;
    if (ControllerOf(after) != kUid && after.has_metadata()) return;  // released: not by our will
    for (const auto& [id, pod] : seen_pods_) {
      if (pod.label == label && label != Templates()[current_].hash) {
        ADD_FAILURE() << id << " carries it" << (labelled.contains(id) ? ", though not for long" : "");
      }
    }
  }

  // ---- How a server answers

  void Do(const revision::Create& a) {
    const std::string& name = a.object.metadata().name();
    if (const auto existing = revisions_.find(name); existing != revisions_.end()) {
      if (JudgeCollision(set_, Templates()[current_].hash, existing->second) == RevisionCollision::kOther) {
        set_.mutable_status()->set_collisioncount(set_.status().collisioncount() + 1);
      }
      return;
    }
    appsv1::ControllerRevision& revision = revisions_[name];
    revision = a.object;
    revision.mutable_metadata()->set_uid(fmt::format("uid-{}", ++count_));
    revision.mutable_metadata()->set_resourceversion(fmt::format("{}", ++count_));
    revision.mutable_data()->set_raw(Templates()[current_].data);
  }
  void Do(const revision::Update& a) {
    const auto existing = revisions_.find(a.object.metadata().name());
    if (existing == revisions_.end()) return;
    const metav1::ObjectMeta& present = existing->second.metadata();
    if (present.uid() != a.object.metadata().uid()) return;
    if (present.resourceversion() != a.object.metadata().resourceversion()) return;
    existing->second = a.object;
    existing->second.mutable_metadata()->set_resourceversion(fmt::format("{}", ++count_));
  }
  void Do(const revision::Delete& a) {
    const auto existing = revisions_.find(a.name);
    if (existing != revisions_.end() && existing->second.metadata().uid() == a.uid) Remove(a.name);
  }
  void Do(const revision::LabelPod& a) {
    if (const auto pod = pods_.find(a.pod_id); pod != pods_.end()) pod->second.label = a.hash;
  }

  std::mt19937 random_;
  const bool honest_;
  appsv1::DaemonSet set_;
  int current_ = 0;                                                     // index of the set's template
  std::map<std::string, appsv1::ControllerRevision> revisions_, seen_;  // by name
  std::map<std::string, Pod> pods_, seen_pods_;                         // by UID
  std::map<std::string, int> known_pods_;
  std::set<std::string> finalized_;  // UIDs of revisions that a finalizer holds
  bool failures_ = true;
  int count_ = 0;
};

// RO-09, RO-11, RO-12
TEST(RevisionsProperty, SettlesWhateverHappens) {
  // --gtest_random_seed=N tries others.
  const auto first = static_cast<unsigned>(GTEST_FLAG_GET(random_seed)) * kSeeds;
  for (unsigned seed = first; seed < first + kSeeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    World world(seed, /*honest=*/seed % 4 != 0);
    for (int step = 0; step < kSteps; ++step) {
      SCOPED_TRACE(fmt::format("step {}", step));
      world.Event();
      const RevisionPlan plan = world.Plan();
      world.CheckPlan(plan);
      world.Apply(plan);
      if (::testing::Test::HasFailure()) return;
    }
    world.Calm();
    RevisionPlan last;
    std::string left = "never planned";
    for (int round = 0; round < kRoundsToSettle && !left.empty(); ++round) {
      last = world.Plan();
      world.CheckPlan(last);
      left = World::Describe(last);
      world.Apply(last);
    }
    EXPECT_EQ(left, "") << "still something to do after " << kRoundsToSettle << " rounds";
    world.CheckSettled(last);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace daemonsetd::decide
