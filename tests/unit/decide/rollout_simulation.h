// Random schedules of rollouts over a simulated cluster, each from a seed: what has to hold at every moment is checked
// at every step of a coordinator, and what has to come in the end is waited for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/decide/rollout.h"

namespace daemonsetd::decide {

// The decision, and what its caller owes it (rollout.h). A test that takes one of them away shows that it is needed,
// and that the simulation would find it missing.
struct SimulationOptions {
  std::function<RolloutPlan(const RolloutInput&)> plan = PlanRollout;
  bool reads_set_before_step = true;
  bool names_resource_version = true;
  bool stops_without_lease = true;
  bool remembers_own_writes = true;
  bool looks_after_a_lost_answer = true;
  bool reads_what_time_made_available = true;
  int nodes = 0;         // 0: as the seed says
  bool tracing = false;  // costs time: a schedule that failed is run again with it
};

struct SimulationResult {
  std::string failure;  // empty: all held
  std::vector<std::string> trace;
  int seconds = 0, nodes = 0;
  int deletions = 0, healthy_deletions = 0, surges = 0, refused_writes = 0;
  int excused = 0;  // nodes that a coordinator did not count, as it still took them for dead or not desired
  int templates = 0, coordinators = 0;
  bool complete = false;  // every node got the last template
  bool limited = false;   // healthy old pods were left, for the budget was used up
};

SimulationResult Simulate(unsigned seed, const SimulationOptions& options);

}  // namespace daemonsetd::decide
