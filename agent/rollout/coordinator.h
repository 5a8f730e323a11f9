// The coordinator of this agent: takes part in the election of each shard, and while it holds one, works on the
// DaemonSets of its shards (tenure.h). Whatever it remembers of them is gone when it holds none. Everything on the loop
// thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/rollout/election.h"
#include "agent/rollout/tenure.h"

namespace daemonsetd::rollout {

struct CoordinatorSettings {
  std::string node_name;
  int shards = 1;
  TenureSettings tenure;
};

class Coordinator {
 public:
  using DaemonSets = std::function<std::optional<std::vector<RolloutSet::DaemonSetPtr>>()>;
  using Tell = std::function<void(const appsv1::DaemonSet&, decide::EventType, const std::string& reason,
                                  const std::string& text)>;

  // The references must outlive it. `random` gives numbers in [0, 1). `daemon_sets` and `tell` as in TenurePorts.
  // `on_change` is called on the loop when what it tells below has changed.
  Coordinator(async::Executor executor, async::Timeline& timeline, kube::Client& client, std::function<double()> random,
              CoordinatorSettings settings, DaemonSets daemon_sets, Tell tell, std::function<void()> on_change);

  // Until cancelled; then it gives up what it holds. Once.
  Task<void> Run();
  // The DaemonSets have changed.
  void Notify();

  // Shards of which this agent is the coordinator, and for which it stands by.
  struct Roles {
    int holds = 0;
    int stands_by = 0;
  };
  Roles roles() const;
  // Steps taken by this agent, and failures to work on a DaemonSet.
  const TenureCounters& counters() const { return counters_; }

  // One line for people: "coordinates", "stands by for node-a", "node-a coordinates", or empty: not known.
  std::string StatusText() const;
  // What keeps it from coordinating although it should; empty while all is well.
  std::string Problem() const;

 private:
  Task<void> Follow();
  bool HoldsAny() const;
  const Election& ElectionOf(const std::string& daemon_set_uid) const;
  TenurePorts Ports();
  // Notes generations that nobody has observed; when somebody should look whether there is a coordinator.
  std::optional<MonoTime> NoteUnobserved();

  async::Executor executor_;
  async::Timeline& timeline_;
  kube::Client& client_;
  const std::function<double()> random_;
  const CoordinatorSettings settings_;
  const DaemonSets daemon_sets_;
  const Tell tell_;
  const std::function<void()> on_change_;
  async::Wake wake_;
  std::vector<std::unique_ptr<Election>> elections_;  // by shard
  std::unique_ptr<Tenure> tenure_;
  async::TaskScope tenure_scope_;
  TenureCounters counters_;                     // of all tenures
  std::map<std::string, MonoTime> unobserved_;  // DaemonSet UID → since when
};

}  // namespace daemonsetd::rollout
