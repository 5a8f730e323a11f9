#include "tests/unit/decide/rollout_simulation.h"

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

using testing::HasSubstr;

// DAEMONSETD_ROLLOUT_SCHEDULES=100000 is for a long run; --gtest_random_seed=N begins with seed N.
unsigned Schedules() {
  const char* given = std::getenv("DAEMONSETD_ROLLOUT_SCHEDULES");
  return given == nullptr ? 700 : static_cast<unsigned>(std::strtoul(given, nullptr, 10));
}
unsigned FirstSeed() { return static_cast<unsigned>(std::max(GTEST_FLAG_GET(random_seed), 1)); }

std::string TraceOf(unsigned seed, SimulationOptions options) {
  options.tracing = true;
  return fmt::format("{}", fmt::join(Simulate(seed, options).trace, "\n"));
}

void RunSchedules(unsigned first, unsigned schedules, const SimulationOptions& options, SimulationResult& sum) {
  int complete = 0, limited = 0;
  for (unsigned seed = first; seed < first + schedules; ++seed) {
    const SimulationResult result = Simulate(seed, options);
    ASSERT_EQ(result.failure, "") << "seed " << seed << "\n" << TraceOf(seed, options);
    complete += result.complete ? 1 : 0;
    limited += result.limited ? 1 : 0;
    sum.seconds += result.seconds;
    sum.nodes += result.nodes;
    sum.deletions += result.deletions;
    sum.healthy_deletions += result.healthy_deletions;
    sum.surges += result.surges;
    sum.refused_writes += result.refused_writes;
    sum.excused += result.excused;
    sum.templates += result.templates;
    sum.coordinators += result.coordinators;
  }
  std::printf(
      "%u schedules from seed %u: %d s, %d nodes, %d templates, %d coordinators; %d deletions (%d of healthy pods), "
      "%d surges, %d refused writes; %d complete, %d stopped by the budget, %d nodes excused\n",
      schedules, first, sum.seconds, sum.nodes, sum.templates, sum.coordinators, sum.deletions, sum.healthy_deletions,
      sum.surges, sum.refused_writes, complete, limited, sum.excused);
  // That nothing fails says little where nothing happens.
  EXPECT_GT(complete, static_cast<int>(schedules) / 2);
  EXPECT_GT(sum.healthy_deletions, 0);
  EXPECT_GT(sum.refused_writes, 0);
}

// RO-01, RO-02, RO-08, RO-16, RO-17, ST-01, ST-04
TEST(RolloutSimulation, KeepsTheBudgetAndComesToItsEndWhateverHappens) {
  SimulationResult sum;
  RunSchedules(FirstSeed(), Schedules(), {}, sum);
  EXPECT_GT(sum.deletions, sum.healthy_deletions);
  EXPECT_GT(sum.surges, 0);
}

TEST(RolloutSimulation, DoesSoWithHundredsOfNodes) {
  SimulationResult sum;
  RunSchedules(FirstSeed(), std::max(Schedules() / 150, 4u), {.nodes = 250}, sum);
}

// ---- The simulation sees what it is there for

struct Defect {
  const char* what;
  SimulationOptions options;
  const char* failure;
  unsigned first = 1;  // where to begin to look, for what is rare
};

// What Kubernetes' own controller does: broken old pods go at once, and nodes count only while they are not such.
RolloutPlan BrokenOldPodsDoNotCount(const RolloutInput& input) {
  RolloutInput others = input;
  std::erase_if(others.nodes, [](const RolloutNode& node) {
    return !node.dead && node.pods.size() == 1 && !node.pods[0].updated && !node.pods[0].available &&
           !node.pods[0].terminating;
  });
  RolloutPlan plan = PlanRollout(others);
  for (RolloutStep& step : PlanRollout(input).steps) {
    if (step.reason.ends_with("not ready")) plan.steps.push_back(std::move(step));
  }
  return plan;
}

RolloutPlan DeadNodesNeverCount(const RolloutInput& input) {
  RolloutInput alive = input;
  std::erase_if(alive.nodes, [](const RolloutNode& node) { return node.dead; });
  return PlanRollout(alive);
}

RolloutPlan DeadNodesAlwaysCount(const RolloutInput& input) {
  RolloutInput changed = input;
  for (RolloutNode& node : changed.nodes) {
    if (!node.dead) continue;
    node.dead_before = false;
    for (DaemonPod& pod : node.pods) pod.updated = true;
  }
  return PlanRollout(changed);
}

RolloutPlan BrokenPodsWaitForTheBudget(const RolloutInput& input) {
  RolloutPlan plan = PlanRollout(input);
  std::erase_if(plan.steps, [](const RolloutStep& step) { return step.reason.ends_with("not ready"); });
  return plan;
}

RolloutPlan SurgeDeletes(const RolloutInput& input) {
  RolloutPlan plan = PlanRollout(input);
  for (RolloutStep& step : plan.steps) step.kind = RolloutStep::Kind::kDelete;
  return plan;
}

RolloutPlan OneTooMany(const RolloutInput& input) {
  appsv1::DaemonSet set = *input.daemon_set;
  auto& rolling = *set.mutable_spec()->mutable_updatestrategy()->mutable_rollingupdate();
  intstrv1::IntOrString& budget = AllowsSurge(set) ? *rolling.mutable_maxsurge() : *rolling.mutable_maxunavailable();
  if (budget.type() == 0) budget.set_intval(budget.intval() + 1);
  RolloutInput changed = input;
  changed.daemon_set = &set;
  return PlanRollout(changed);
}

std::vector<Defect> Defects() {
  return {
      {"RO-01: broken old pods are left out of the count", {.plan = BrokenOldPodsDoNotCount}, "down for the rollout"},
      {"RO-02: what died with the new version does not count", {.plan = DeadNodesNeverCount}, "may", 35},
      {"RO-02: what was dead before counts", {.plan = DeadNodesAlwaysCount}, "a healthy old pod waits"},
      {"RO-16: broken pods are not replaced first", {.plan = BrokenPodsWaitForTheBudget}, "does not settle"},
      {"RO-08: a surge takes the old pod", {.plan = SurgeDeletes}, "an available pod is taken"},
      {"one node too many", {.plan = OneTooMany}, "may"},
      {"RO-12: an old copy of the DaemonSet is acted on", {.reads_set_before_step = false}, "the present template"},
      {"deletions name no resourceVersion", {.names_resource_version = false}, "may", 165},
      {"a coordinator goes on without its Lease", {.stops_without_lease = false}, "may", 38},
      {"accepted deletions are forgotten", {.remembers_own_writes = false}, "may", 90},
      {"a lost answer is taken for a refusal", {.looks_after_a_lost_answer = false}, "may", 180},
      {"RO-03: availability by time alone is believed",
       {.reads_what_time_made_available = false},
       "down for the rollout",
       5200},
  };
}

TEST(RolloutSimulation, FindsWhatItIsThereFor) {
  for (const Defect& defect : Defects()) {
    SCOPED_TRACE(defect.what);
    unsigned seed = defect.first;
    SimulationResult result = Simulate(seed, defect.options);
    while (result.failure.empty() && seed < defect.first + 4000) result = Simulate(++seed, defect.options);
    ASSERT_NE(result.failure, "") << "it is not found";
    std::printf("%s: found at seed %u %s\n", defect.what, seed, result.failure.c_str());
    EXPECT_THAT(result.failure, HasSubstr(defect.failure));
    EXPECT_THAT(TraceOf(seed, defect.options), HasSubstr("FAILED: " + result.failure));
  }
}

}  // namespace
}  // namespace daemonsetd::decide
