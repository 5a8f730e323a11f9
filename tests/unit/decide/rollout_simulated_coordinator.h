// A coordinator for the simulation of rollouts: what it knows of the cluster, and what it makes of that for
// PlanRollout.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "agent/decide/rollout.h"
#include "tests/unit/decide/rollout_simulated_cluster.h"

namespace daemonsetd::decide {

// It knows the lists that it began with, and as much of the history since as has reached it: of pods, nodes and the
// DaemonSet each for itself, late, and many at once.
struct SimulatedCoordinator {
  int number = 0;
  bool holds = true;  // the Lease; it does not notice at once that it lost it
  Second ends_at = kNever, next_wake = 0, deaf_until = 0;
  bool lists_anew = true;
  std::vector<SimulatedPods> pods;  // by node
  std::vector<NodeRecord> records;
  std::size_t set = 0, pods_heard = 0, nodes_heard = 0;
  Second current_at = 0;  // when it last knew all that there was to know of the pods
  // Its own accepted writes, until a watch shows them.
  std::set<int> deleted;
  std::map<int, int> surged;  // pod → template
  std::map<int, int> read;    // pods that it read by themselves → their version then

  // Whether there was anything.
  bool Hear(SimulatedCluster& cluster, bool calm);
  // A pod gets available by the passing of time, which no watch shows; what spoiled it may not have been heard yet.
  void ReadWhatTimeMadeAvailable(const SimulatedCluster& cluster);
  RolloutInput InputOf(const SimulatedCluster& cluster) const;
  int Desired() const;
};

}  // namespace daemonsetd::decide
