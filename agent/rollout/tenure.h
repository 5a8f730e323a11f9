// The time during which this agent coordinates: watches the cluster, and for each DaemonSet of its shards keeps the
// revisions, takes the next steps of a rollout (agent/decide/rollout.h) and writes the status. Level based: whatever
// changed, and after every step, a DaemonSet is looked at anew. Everything on the loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/decide/event_aggregation.h"
#include "agent/rollout/cluster_view.h"
#include "agent/rollout/rollout_set.h"
#include "agent/rollout/set_writes.h"

namespace daemonsetd::rollout {

struct TenureSettings {
  Nanoseconds progress_deadline = std::chrono::minutes(10);
  Nanoseconds image_wait = std::chrono::seconds(30);
};

// What tenures did.
struct TenureCounters {
  std::uint64_t steps = 0;     // permits given: pods deleted, or asked to have a second one beside them
  std::uint64_t failures = 0;  // looks at a DaemonSet that ended early and are tried again
};

// What a tenure needs of its surroundings; the functions are called on the loop.
struct TenurePorts {
  using DaemonSetPtr = RolloutSet::DaemonSetPtr;
  // Every DaemonSet of the cluster; unset while the list is not complete.
  std::function<std::optional<std::vector<DaemonSetPtr>>()> daemon_sets;
  // Until when writes for the DaemonSet with this UID are ours to make; unset: they are not.
  std::function<std::optional<MonoTime>(const std::string&)> holds_until;
  // An Event of the DaemonSet.
  std::function<void(const appsv1::DaemonSet&, decide::EventType, const std::string& reason, const std::string& text)>
      tell;
  // Names of nodes: those that died, and standbys without a Node.
  std::function<void(std::vector<std::string>)> dead_nodes;
  std::function<std::vector<std::string>()> standbys = [] { return std::vector<std::string>(); };
  TenureCounters* counters = nullptr;  // if somebody counts
};

class Tenure {
 public:
  // The references must outlive it. `random` gives numbers in [0, 1).
  Tenure(async::Executor executor, async::Timeline& timeline, kube::Client& client, std::function<double()> random,
         TenureSettings settings, TenurePorts ports);

  // Until cancelled. Once.
  Task<void> Run();
  // The DaemonSets have changed.
  void Notify() { wake_.Notify(); }
  // What keeps it from working; empty while all is well.
  std::string problem() const;

 private:
  using SetPtr = std::shared_ptr<RolloutSet>;

  Task<void> Coordinate();
  void TakeSets();
  // Starts what is due; answers when the next is.
  std::optional<MonoTime> StartDue();
  void TellDeadNodes();
  // One look at one DaemonSet, and what follows from it.
  Task<void> Work(SetPtr set);
  Task<Status> KeepRevisions(SetPtr set);
  Task<Status> Carry(SetPtr set, decide::RevisionAction action);
  Task<Status> Create(SetPtr set, appsv1::ControllerRevision revision);
  // What became of the steps that were not answered, or refused because the pod has changed.
  Task<Status> AskWhatWasDone(SetPtr set);
  Task<Status> TakeSteps(SetPtr set);
  Task<Status> TakeStep(SetPtr set, decide::RolloutStep step, std::shared_ptr<const corev1::Pod> pod);
  Task<Status> WriteStatus(SetPtr set);
  Task<Status> PutStatus(SetPtr set, appsv1::DaemonSetStatus status);
  void TellTrouble(const appsv1::DaemonSet& daemon_set, const appsv1::DaemonSetStatus& before);
  // How long a write for this set may take: until the hold ends, at most 10 s. Unset: it is not ours any more.
  std::optional<Nanoseconds> TimeFor(const RolloutSet& set) const;
  Nanoseconds StatusInterval(const RolloutSet& set) const;

  async::Timeline& timeline_;
  const TenureSettings settings_;
  const TenurePorts ports_;
  async::Wake wake_;
  ClusterView view_;
  SetWrites writes_;
  std::map<std::string, SetPtr> sets_;  // by UID
  std::vector<std::string> dead_nodes_;
  async::TaskScope scope_;
};

}  // namespace daemonsetd::rollout
