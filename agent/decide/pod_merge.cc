#include "agent/decide/pod_merge.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/mirror_pod.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/decide/rollout.h"
#include "agent/decide/status_diff.h"
#include "agent/model/selectors.h"

namespace daemonsetd::decide {
namespace {

constexpr char kOrphanFinalizer[] = "orphan";
constexpr char kForegroundFinalizer[] = "foregroundDeletion";

bool Has(const google::protobuf::RepeatedPtrField<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class PodMerger {
 public:
  explicit PodMerger(const MergeInput& input) : input_(input) {
    plan_.placements.resize(input.sets.size());
    plan_.waiting_for.resize(input.sets.size());
    plan_.outdated.resize(input.sets.size());
  }

  MergePlan Merge() {
    if (!input_.runtime_listed) return std::move(plan_);
    Index();
    MatchPods();
    MergeMirrors();
    for (const corev1::Pod* object : objects_) MergeObject(*object);
    for (std::size_t i = 0; i < input_.sets.size(); ++i) MergeDaemonSet(i);
    MergeWithoutSet();
    StartObjects();
    WriteStatuses();
    Forget();
    for (auto* part : {&adoptions_, &releases_, &stops_, &deletions_, &creations_, &starts_, &statuses_, &forgotten_}) {
      std::move(part->begin(), part->end(), std::back_inserter(plan_.actions));
    }
    return std::move(plan_);
  }

 private:
  bool SetsComplete() const { return input_.daemon_sets == Knowledge::kComplete; }
  bool ObjectsComplete() const { return input_.objects == Knowledge::kComplete; }
  static bool MayStart(Knowledge knowledge) {
    return knowledge == Knowledge::kComplete || knowledge == Knowledge::kCached;
  }
  // What the server's pods say is obeyed: it is not known to be older than what was seen.
  bool ObjectsObeyed() const { return input_.objects != Knowledge::kRolledBack; }
  bool CanWrite() const { return input_.server_reachable && ObjectsObeyed(); }

  void Index() {
    for (std::size_t i = 0; i < input_.sets.size(); ++i) {
      set_index_[input_.sets[i].daemon_set->metadata().uid()] = i;
    }
    for (const corev1::Pod* pod : input_.pods) {
      if (pod->spec().nodename() != input_.node_name) continue;
      (IsMirrorPod(*pod) ? mirrors_ : objects_).push_back(pod);
      object_by_uid_[pod->metadata().uid()] = pod;
    }
    // The oldest first, so that of two pods of a set the same one is taken each time.
    std::sort(objects_.begin(), objects_.end(), [](const corev1::Pod* a, const corev1::Pod* b) {
      const WallTime left = FromApiTime(a->metadata().creationtimestamp());
      const WallTime right = FromApiTime(b->metadata().creationtimestamp());
      return left != right ? left < right : a->metadata().name() < b->metadata().name();
    });
    for (const LocalPod& local : input_.local) {
      if (local.is_static) continue;
      const std::string& uid = local.object_uid;
      if (uid.empty() || !object_by_uid_.contains(uid)) continue;
      const LocalPod*& known = local_of_[uid];
      if (known == nullptr || known->ended) known = &local;
    }
  }

  const LocalPod* LocalOf(const corev1::Pod& object) const {
    const auto found = local_of_.find(object.metadata().uid());
    return found == local_of_.end() ? nullptr : found->second;
  }
  bool HasObject(const LocalPod& local) const {
    return std::any_of(local_of_.begin(), local_of_.end(), [&](const auto& entry) { return entry.second == &local; });
  }

  // ---- Which containers stand for which object

  void MatchPods() {
    for (const corev1::Pod* object : objects_) {
      const LocalPod* local = LocalOf(*object);
      if (local != nullptr && (!local->ended || !local->terminal_phase.empty())) {
        const std::string owner = DaemonSetOf(*object);
        const bool new_owner = !owner.empty() && owner != local->owner_uid;
        if (!local->ended && !local->asleep && (!local->has_worker || new_owner)) Adopt(*local, *object);
        continue;
      }
      // None of its containers run (a reboot), but those of a pod that was started meanwhile may.
      if (!ObjectsObeyed()) continue;
      local = IsLive(*object) ? FindUnmatched(*object) : FindNamesake(*object);
      if (local == nullptr) continue;
      local_of_[object->metadata().uid()] = local;
      if (!local->asleep || !IsLive(*object)) Adopt(*local, *object);
    }
  }

  // Its UID was provisional, or its object went while nobody looked.
  bool LacksObject(const LocalPod& local) const {
    if (local.is_static || local.ended || HasObject(local)) return false;
    return local.object_uid.empty() || (local.loss == ObjectLoss::kWhileAway && ObjectsComplete());
  }

  // A pod of the same set without an object, that may run on as this one.
  const LocalPod* FindUnmatched(const corev1::Pod& object) const {
    const std::string owner = DaemonSetOf(object);
    if (owner.empty()) return nullptr;
    for (const LocalPod& local : input_.local) {
      if (local.owner_uid != owner || !LacksObject(local) || local.stopping) continue;
      if (!local.terminal_phase.empty() || !SamePod(local, object)) continue;
      return &local;
    }
    return nullptr;
  }

  // The pod for which this object was made, whose record does not say so: the agent was killed in between. A name is
  // given once (DaemonPodName). Deleted or failed meanwhile, the object's end is that of the containers.
  const LocalPod* FindNamesake(const corev1::Pod& object) const {
    const std::string owner = DaemonSetOf(object);
    if (owner.empty()) return nullptr;
    for (const LocalPod& local : input_.local) {
      if (local.owner_uid == owner && local.name == object.metadata().name() && LacksObject(local)) return &local;
    }
    return nullptr;
  }

  void Adopt(const LocalPod& local, const corev1::Pod& object) {
    const bool news = local.object_uid != object.metadata().uid() && MadeElsewhere(object);
    adoptions_.push_back(merge::AdoptPod{local.uid, object.metadata().uid(), news});
  }

  // ---- Objects

  void Stop(const LocalPod& local, std::string reason) { Stop(local, GraceOf(local), std::move(reason)); }
  void Stop(const LocalPod& local, Seconds grace, std::string reason) {
    doomed_.insert(local.uid);
    if (local.ended || !stopped_.insert(local.uid).second) return;
    if (local.stopping && (!local.kill_at || *local.kill_at <= input_.now + grace + Seconds(1))) return;
    stops_.push_back(merge::StopPod{local.uid, grace, std::move(reason)});
  }

  void Delete(const corev1::Pod& object, std::optional<Seconds> grace, std::string reason,
              bool with_resource_version = false) {
    const metav1::ObjectMeta& metadata = object.metadata();
    doomed_.insert(metadata.uid());
    if (!CanWrite() || !deleted_.insert(metadata.uid()).second) return;
    deletions_.push_back(merge::DeleteObject{metadata.namespace_(), metadata.name(), metadata.uid(),
                                             with_resource_version ? metadata.resourceversion() : std::string(), grace,
                                             std::move(reason)});
  }

  // The end of a pod begins at the server, if it can be asked: it notes the deletion, and the node follows.
  void End(const corev1::Pod& object, const std::string& reason, bool with_resource_version = false) {
    if (IsTerminating(object)) return;
    Delete(object, std::nullopt, reason, with_resource_version);
    const LocalPod* local = LocalOf(object);
    if (local != nullptr && !input_.server_reachable) Stop(*local, reason);
  }

  void MergeObject(const corev1::Pod& object) {
    const LocalPod* local = LocalOf(object);
    if (!ObjectsObeyed()) return;
    if (IsTerminating(object)) {
      doomed_.insert(object.metadata().uid());
      if (local != nullptr && !local->ended) {
        Stop(*local, RemainingGrace(object, input_.now), "its Pod object is being deleted");
      } else if (object.metadata().deletiongraceperiodseconds() != 0 || object.metadata().finalizers().empty()) {
        // With grace 0 and finalizers the server waits for others, and another request changes nothing.
        Delete(object, Seconds(0), "its containers are gone");
      }
      return;
    }
    if (local == nullptr) return;
    if (IsTerminal(object)) Stop(*local, "its phase is " + object.status().phase());
    if (ControllerOf(object.metadata()) == nullptr && !local->owner_uid.empty()) {
      releases_.push_back(merge::ReleasePod{local->uid});
    }
  }

  // ---- Mirror pods

  void MergeMirrors() {
    if (!ObjectsObeyed()) return;
    std::set<const corev1::Pod*> shown;
    for (const LocalPod& local : input_.local) {
      if (!local.is_static || local.pod == nullptr) continue;
      const auto mirror = std::find_if(mirrors_.begin(), mirrors_.end(), [&](const corev1::Pod* pod) {
        return pod->metadata().namespace_() == local.namespace_ && pod->metadata().name() == local.name;
      });
      if (local.stopping || local.ended) continue;  // its mirror goes when it is gone
      if (mirror == mirrors_.end()) {
        const bool ready = input_.server_reachable && ObjectsComplete() && !input_.node_uid.empty();
        if (ready) creations_.push_back(merge::CreateMirror{local.uid});
        continue;
      }
      shown.insert(*mirror);
      if (input_.node_uid.empty() || MirrorIsCurrent(**mirror, *local.pod, input_.node_uid)) {
        local_of_[(*mirror)->metadata().uid()] = &local;
      } else {
        Delete(**mirror, Seconds(0), "the static pod that it mirrors is another by now");
      }
    }
    if (!input_.manifests_complete) return;
    for (const corev1::Pod* mirror : mirrors_) {
      const bool is_running = std::any_of(input_.local.begin(), input_.local.end(), [&](const LocalPod& local) {
        return local.is_static && !local.ended && local.namespace_ == mirror->metadata().namespace_() &&
               local.name == mirror->metadata().name();
      });
      if (!is_running && !shown.contains(mirror)) Delete(*mirror, Seconds(0), "no manifest asks for it any more");
    }
  }

  // ---- DaemonSets

  void MergeDaemonSet(std::size_t index) {
    if (input_.source != PodSource::kLocal || input_.node == nullptr || !MayStart(input_.daemon_sets)) return;
    const appsv1::DaemonSet& set = *input_.sets[index].daemon_set;
    plan_.placements[index] = Place(set.spec().template_().spec(), *input_.node);
    if (set.metadata().has_deletiontimestamp()) {
      EndDaemonSet(set);
      return;
    }
    Manage(index, ClaimObjects(index));
  }

  // What garbage collection would do, where nobody runs it. Background deletion takes the DaemonSet away at once, and
  // MergeWithoutSet sees its pods.
  void EndDaemonSet(const appsv1::DaemonSet& set) {
    if (!SetsComplete() || !ObjectsComplete()) return;
    const bool orphan = Has(set.metadata().finalizers(), kOrphanFinalizer);
    if (!orphan && !Has(set.metadata().finalizers(), kForegroundFinalizer)) return;
    for (const corev1::Pod* object : objects_) {
      if (DaemonSetOf(*object) != set.metadata().uid()) continue;
      if (!orphan) {
        End(*object, "its DaemonSet is being deleted", /*with_resource_version=*/true);
      } else if (CanWrite()) {
        releases_.push_back(merge::ReleaseObject{object->metadata().uid(), set.metadata().uid()});
      }
    }
  }

  // The set's pods on this node: adopts orphans that its selector asks for, lets go of pods whose labels left it
  // (semantics.md section 4.1).
  std::vector<const corev1::Pod*> ClaimObjects(std::size_t index) {
    const appsv1::DaemonSet& set = *input_.sets[index].daemon_set;
    const bool may_write = SetsComplete() && ObjectsComplete() && CanWrite();
    std::vector<const corev1::Pod*> members;
    for (const corev1::Pod* object : objects_) {
      if (object->metadata().namespace_() != set.metadata().namespace_()) continue;
      const metav1::OwnerReference* owner = ControllerOf(object->metadata());
      const auto matches = model::Matches(set.spec().selector(), object->metadata().labels());
      const bool selected = matches && *matches;
      if (owner != nullptr && owner->uid() == set.metadata().uid()) {
        if (selected || !may_write) {
          members.push_back(object);
        } else {
          releases_.push_back(merge::ReleaseObject{object->metadata().uid(), set.metadata().uid()});
        }
      } else if (owner == nullptr && selected && IsLive(*object)) {
        members.push_back(object);  // counted at once, lest a second pod is made or started beside it
        claimed_by_.emplace(object->metadata().uid(), set.metadata().uid());
        if (may_write) releases_.push_back(merge::ClaimObject{object->metadata().uid(), index});
      }
    }
    return members;
  }

  DaemonPod FactsOf(std::size_t index, const corev1::Pod& object) const {
    const MergeSet& set = input_.sets[index];
    DaemonPod facts = DaemonPodOf(object, {.revision_hash = set.template_hash, .generation = std::nullopt},
                                  set.daemon_set->spec().minreadyseconds(), input_.now);
    facts.available = false;  // whatever the object remembers
    if (const LocalPod* local = LocalOf(object)) {
      facts.failed = facts.failed || local->terminal_phase == "Failed";
      facts.succeeded = facts.succeeded || local->terminal_phase == "Succeeded";
      // What only the runtime knows yet, as when the agent has just started, is no sign that it is not ready any more.
      const bool unproven = !local->has_worker && !local->asleep && !local->ended;
      // The server has to know it too before the old pod goes: else nobody there sees the node served (RO-08).
      facts.available = local->available && facts.ready;
      facts.ready = local->ready || (facts.ready && unproven);
      if (IsMislabelled(*local, object, set.daemon_set->spec().template_(), set.template_hash)) facts.updated = false;
    }
    return facts;
  }

  // Pods of the set that no object stands for, and that are to have one.
  std::vector<const LocalPod*> WithoutObject(const std::string& owner_uid) const {
    std::vector<const LocalPod*> found;
    for (const LocalPod& local : input_.local) {
      if (local.is_static || local.owner_uid != owner_uid || HasObject(local)) continue;
      if (local.object_uid.empty() || (ObjectsComplete() && local.loss == ObjectLoss::kWhileAway)) {
        found.push_back(&local);
      }
    }
    return found;
  }

  void Manage(std::size_t index, const std::vector<const corev1::Pod*>& members) {
    const MergeSet& set = input_.sets[index];
    const std::string& owner_uid = set.daemon_set->metadata().uid();
    const Placement& placement = plan_.placements[index];
    Placement lasting = placement;
    lasting.should_keep_running |= !set.may_stop;
    const std::vector<const LocalPod*> provisional = WithoutObject(owner_uid);
    GiveUp(index, members, provisional);

    std::vector<DaemonPod> pods;
    for (const corev1::Pod* member : members) {
      // A pod that is gone here, and whose object cannot be deleted now, does not bar its replacement.
      DaemonPod facts = FactsOf(index, *member);
      const bool is_over = facts.terminating || (facts.failed && set.replace_failed);
      const bool unreachable_remains = !input_.server_reachable && is_over && !HasContainers(*member);
      if (!unreachable_remains) pods.push_back(std::move(facts));
    }
    for (const LocalPod* local : provisional) {
      if (local->ended && local->terminal_phase.empty()) continue;
      pods.push_back({.id = local->uid,
                      .name = local->name,
                      .created_at = local->created_at,
                      .terminating = local->stopping || stopped_.contains(local->uid),
                      .failed = local->terminal_phase == "Failed",
                      .succeeded = local->terminal_phase == "Succeeded",
                      .updated = local->template_hash == set.template_hash,
                      .ready = local->ready,
                      .available = local->available});
    }
    const DaemonSetVerdict verdict = ManageDaemonPods(lasting, pods, AllowsSurge(*set.daemon_set), set.replace_failed);
    if (!placement.should_run) plan_.waiting_for[index] = placement.reason;
    if (placement.should_run) plan_.outdated[index] = OutdatedPod(pods);
    if (SetsComplete() && ObjectsComplete()) {
      for (const DaemonSetVerdict::Deletion& deletion : verdict.deletions) {
        // A rollout goes on when the server can be asked.
        if (input_.server_reachable || !deletion.ends_surge) Remove(deletion, provisional);
      }
      for (const corev1::Pod* member : members) Relabel(*member, set);
    }
    if (!placement.should_keep_running) {
      for (const corev1::Pod* member : members) doomed_.insert(member->metadata().uid());  // not to be started
    } else {
      CreateObjectsFor(index, provisional);
      GoOnWith(index, provisional);
    }
    if (verdict.create) {
      Create(index);
    } else if (input_.server_reachable && SetsComplete() && ObjectsComplete() && SurgeAsked(index, members, pods)) {
      creations_.push_back(merge::CreateObject{index, {}});
    }
  }

  // Provisional pods that run something else than a pod which the server has for this set already. The server's wins:
  // whoever made it would make it again.
  void GiveUp(std::size_t index, const std::vector<const corev1::Pod*>& members,
              const std::vector<const LocalPod*>& provisional) {
    if (!SetsComplete() || !ObjectsComplete() || AllowsSurge(*input_.sets[index].daemon_set)) return;
    for (const corev1::Pod* member : members) {
      const DaemonPod facts = FactsOf(index, *member);
      if (facts.terminating || facts.failed || facts.succeeded || HasContainers(*member)) continue;
      for (const LocalPod* local : provisional) {
        Stop(*local, fmt::format("the API server's pod {} takes its place", member->metadata().name()));
      }
    }
  }

  // By its label the rollout is over here, and it is not (RO-18): with the true one the coordinator replaces the pod in
  // its turn.
  void Relabel(const corev1::Pod& object, const MergeSet& set) {
    const LocalPod* local = LocalOf(object);
    if (local == nullptr || local->stopping || !IsLive(object) || !CanWrite()) return;
    if (!IsMislabelled(*local, object, set.daemon_set->spec().template_(), set.template_hash)) return;
    releases_.push_back(merge::RelabelObject{object.metadata().uid(), local->template_hash});
  }

  // The coordinator of a surge marks the old pod with the revision that may start beside it.
  bool SurgeAsked(std::size_t index, const std::vector<const corev1::Pod*>& members,
                  const std::vector<DaemonPod>& pods) const {
    const MergeSet& set = input_.sets[index];
    if (!plan_.placements[index].should_run || !AllowsSurge(*set.daemon_set)) return false;
    if (!SurgeConflict(*set.daemon_set).empty()) return false;
    if (std::any_of(pods.begin(), pods.end(), [](const DaemonPod& pod) { return pod.updated; })) return false;
    return std::any_of(members.begin(), members.end(), [&](const corev1::Pod* member) {
      return IsLive(*member) && ValueOf(member->metadata().annotations(), kSurgeAnnotation) == set.template_hash;
    });
  }

  bool HasContainers(const corev1::Pod& object) const {
    const LocalPod* local = LocalOf(object);
    return local != nullptr && !local->ended;
  }

  void Remove(const DaemonSetVerdict::Deletion& deletion, const std::vector<const LocalPod*>& provisional) {
    if (const auto object = object_by_uid_.find(deletion.id); object != object_by_uid_.end()) {
      End(*object->second, deletion.reason);
      return;
    }
    for (const LocalPod* local : provisional) {
      if (local->uid != deletion.id) continue;
      Stop(*local, deletion.reason);
      if (local->ended) forgotten_.push_back(merge::ForgetPod{local->uid});
    }
  }

  void CreateObjectsFor(std::size_t index, const std::vector<const LocalPod*>& provisional) {
    if (!input_.server_reachable || !SetsComplete() || !ObjectsComplete()) return;
    for (const LocalPod* local : provisional) {
      const bool runs = !local->stopping && !local->ended && local->terminal_phase.empty();
      if (runs && !doomed_.contains(local->uid)) creations_.push_back(merge::CreateObject{index, local->uid});
    }
  }

  // Where the server can be asked, its object comes first, and brings it a worker.
  void GoOnWith(std::size_t index, const std::vector<const LocalPod*>& provisional) {
    if (input_.server_reachable || !MayStart(input_.objects)) return;
    const std::string& hash = input_.sets[index].template_hash;
    for (const LocalPod* local : provisional) {
      const bool is_over = local->ended || local->stopping || !local->terminal_phase.empty();
      if (is_over || local->has_worker || doomed_.contains(local->uid)) continue;
      const bool same = local->template_hash.empty() || local->template_hash == hash;
      if (same) starts_.push_back(merge::StartProvisional{index, local->uid});
    }
  }

  void Create(std::size_t index) {
    const std::string& owner_uid = input_.sets[index].daemon_set->metadata().uid();
    if (LiveOf(owner_uid, nullptr) > 0) {
      plan_.waiting_for[index] = "the old pod to be gone";
    } else if (input_.server_reachable) {
      // The server answers, so its lists are worth waiting for: it may have the pod already.
      if (SetsComplete() && ObjectsComplete()) {
        creations_.push_back(merge::CreateObject{index, {}});
      } else {
        plan_.waiting_for[index] = "the API server's lists";
      }
    } else if (MayStart(input_.objects)) {
      starts_.push_back(merge::StartProvisional{index, {}});
      ++started_[owner_uid];
    } else {
      plan_.waiting_for[index] = "the API server";
    }
  }

  // ---- What no set asks for

  void MergeWithoutSet() {
    const bool makes_pods = input_.source == PodSource::kLocal;
    if (makes_pods && SetsComplete() && ObjectsComplete()) {
      for (const corev1::Pod* object : objects_) {
        const std::string owner = DaemonSetOf(*object);
        if (owner.empty() || set_index_.contains(owner)) continue;
        End(*object, "its DaemonSet is gone", /*with_resource_version=*/true);
      }
    }
    if (!ObjectsComplete()) return;
    for (const LocalPod& local : input_.local) {
      if (local.is_static || HasObject(local)) continue;
      const bool has_set = makes_pods && !local.owner_uid.empty() && set_index_.contains(local.owner_uid);
      const bool lost = !local.object_uid.empty();
      if (lost && local.loss == ObjectLoss::kDeletionSeen) {
        Stop(local, "its Pod object was deleted by force");
      } else if (lost && local.loss == ObjectLoss::kHistoryLost) {
        Stop(local, "the API server's data went back to a time before its Pod object");
      } else if (lost && (!makes_pods || local.owner_uid.empty())) {
        Stop(local, "its Pod object is gone");
      } else if (!has_set && (SetsComplete() || !makes_pods)) {
        Stop(local, makes_pods ? "its DaemonSet is gone" : "no Pod object bound to this node asks for it");
      }
    }
  }

  // ---- Starts

  // Of an orphan, the set that takes it in.
  const std::string& OwnerOf(const LocalPod& local) const {
    const auto claimed = claimed_by_.find(local.object_uid);
    return local.owner_uid.empty() && claimed != claimed_by_.end() ? claimed->second : local.owner_uid;
  }

  int LiveOf(const std::string& owner_uid, const LocalPod* except) const {
    int live = 0;
    for (const LocalPod& local : input_.local) {
      if (&local != except && !local.is_static && OwnerOf(local) == owner_uid && !local.ended) ++live;
    }
    const auto started = started_.find(owner_uid);
    return live + (started == started_.end() ? 0 : started->second);
  }

  bool RunsHere(const corev1::Pod& object) const {
    const std::string owner = DaemonSetOf(object);
    switch (input_.source) {
      case PodSource::kBoundAll: return true;
      case PodSource::kBound: return !owner.empty();
      case PodSource::kLocal:
        return !owner.empty() && set_index_.contains(owner) && input_.node != nullptr && MayStart(input_.daemon_sets);
    }
    return false;
  }

  // Beside a pod of another template, where the set surges.
  bool MaySurge(const corev1::Pod& object, const std::string& owner) const {
    const auto index = set_index_.find(owner);
    if (index == set_index_.end() || !AllowsSurge(*input_.sets[index->second].daemon_set)) return false;
    const std::string hash = ValueOf(object.metadata().labels(), kRevisionHashLabel);
    int others = started_.contains(owner) ? started_.at(owner) : 0;
    for (const LocalPod& local : input_.local) {
      if (local.is_static || OwnerOf(local) != owner || local.ended || &local == LocalOf(object)) continue;
      if (local.template_hash == hash) return false;
      ++others;
    }
    return others <= 1 && hash == input_.sets[index->second].template_hash;
  }

  void StartObjects() {
    if (!MayStart(input_.objects)) return;
    for (const corev1::Pod* object : objects_) {
      const LocalPod* local = LocalOf(*object);
      const std::string owner = DaemonSetOf(*object);
      // An orphan that was here goes on as one.
      const bool asleep = local != nullptr && local->asleep;
      const bool sets_known = input_.source != PodSource::kLocal || MayStart(input_.daemon_sets);
      const bool runs_here = RunsHere(*object) || (asleep && owner.empty() && sets_known);
      if (!IsLive(*object) || doomed_.contains(object->metadata().uid()) || !runs_here) continue;
      if (local != nullptr && ((!local->ended && !asleep) || !local->terminal_phase.empty())) continue;
      if (!owner.empty() && LiveOf(owner, local) > 0 && !MaySurge(*object, owner)) {
        if (const auto index = set_index_.find(owner); index != set_index_.end()) {
          plan_.waiting_for[index->second] = "the old pod to be gone";
        }
        continue;
      }
      if (asleep) {
        Adopt(*local, *object);
      } else {
        starts_.push_back(merge::StartPod{object->metadata().uid(), MadeElsewhere(*object)});
      }
      if (!owner.empty()) ++started_[owner];
    }
  }

  // ---- Reports and remains

  void WriteStatuses() {
    if (!input_.server_reachable) return;
    for (const auto& [uid, local] : local_of_) {
      const corev1::Pod& object = *object_by_uid_.at(uid);
      std::optional<corev1::PodStatus> ended;
      if (local->status == nullptr && local->end) ended = EndedStatus(object.status(), *local->end, input_.now);
      const corev1::PodStatus* ours = ended ? &*ended : local->status;
      if (ours == nullptr) continue;
      if (auto status = PodStatusToWrite(object, *ours)) {
        statuses_.push_back(merge::WriteStatus{uid, std::move(*status)});
      }
    }
  }

  void Forget() {
    for (const LocalPod& local : input_.local) {
      if (!local.ended || local.is_static || HasObject(local)) continue;
      if (!local.object_uid.empty() && !ObjectsComplete()) continue;
      // Its set decides when the evidence of a failure goes.
      if (!local.terminal_phase.empty() && set_index_.contains(local.owner_uid)) continue;
      if (local.terminal_phase.empty() || SetsComplete()) forgotten_.push_back(merge::ForgetPod{local.uid});
    }
  }

  const MergeInput& input_;
  MergePlan plan_;
  std::map<std::string, std::size_t> set_index_;  // by UID
  std::vector<const corev1::Pod*> objects_, mirrors_;
  std::map<std::string, const corev1::Pod*> object_by_uid_;
  std::map<std::string, const LocalPod*> local_of_;  // by the object's UID
  std::map<std::string, std::string> claimed_by_;    // UIDs of orphaned objects and the sets that take them in
  std::set<std::string> doomed_;                     // UIDs of objects and pods that are on their way out
  std::set<std::string> stopped_, deleted_;          // said so in this plan
  std::map<std::string, int> started_;               // by owner, in this plan
  std::vector<MergeAction> adoptions_, releases_, stops_, deletions_, creations_, starts_, statuses_, forgotten_;
};

}  // namespace

MergePlan MergePods(const MergeInput& input) { return PodMerger(input).Merge(); }

}  // namespace daemonsetd::decide
