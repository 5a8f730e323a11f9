#include "agent/decide/pod_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using ::runtime::v1::CONTAINER_CREATED;
using ::runtime::v1::CONTAINER_EXITED;
using ::runtime::v1::CONTAINER_RUNNING;
using ::runtime::v1::CONTAINER_UNKNOWN;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeContainer;
using testing::MakePod;
using testing::MakeSandbox;
using ::testing::UnorderedElementsAre;

class PodPlanTest : public ::testing::Test {
 protected:
  PodPlanTest() { memory.set_up = true; }

  PodPlan Plan() {
    Remember(pod, observed, now, PlanLimits{}, memory);
    return PlanPod(pod, intent, observed, memory, now);
  }
  std::vector<std::string> Actions() {
    std::vector<std::string> texts;
    for (const Action& action : Plan().actions) texts.push_back(ToString(action));
    return texts;
  }
  void Terminate(Seconds grace) {
    intent.terminate = true;
    intent.kill_at = now + grace;
    intent.reason = "gone";
  }
  void Fail(const std::string& key, int times = 1) {
    Backoff& backoff = memory.failures.try_emplace(key, kOperationBackoff).first->second;
    for (int i = 0; i < times; ++i) backoff.Fail(now);
  }

  corev1::Pod pod = MakePod({"main"});
  PodIntent intent;
  ObservedPod observed;
  PodMemory memory;
  MonoTime now{std::chrono::hours(100)};
};

TEST_F(PodPlanTest, SetsUpDirectoriesAndVolumesFirst) {
  memory.set_up = false;
  EXPECT_THAT(Actions(), ElementsAre("set up directories and volumes"));
}

TEST_F(PodPlanTest, ThenTheSandbox) { EXPECT_THAT(Actions(), ElementsAre("create sandbox (attempt 0)")); }

TEST_F(PodPlanTest, StartsMainContainersInTheSandbox) {
  pod = MakePod({"one", "two"});
  observed.sandboxes = {MakeSandbox("s0")};
  EXPECT_THAT(Actions(), ElementsAre("start container one (attempt 0) in sandbox s0",
                                     "start container two (attempt 0) in sandbox s0"));
}

TEST_F(PodPlanTest, DoesNotStartTwiceWhatIsUnderWay) {
  observed.sandboxes = {MakeSandbox("s0")};
  memory.in_flight["start main"] = {.since = now};
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(PodPlanTest, LeavesRunningContainersAlone) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  const PodPlan plan = Plan();
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_EQ(plan.wake_at, std::nullopt);
  EXPECT_EQ(plan.waiting_for, "");
}

TEST_F(PodPlanTest, RunsInitContainersOneAfterTheOther) {
  pod = MakePod({"main"}, {"first", "second"});
  observed.sandboxes = {MakeSandbox("s0")};
  EXPECT_THAT(Actions(), ElementsAre("start container first (attempt 0) in sandbox s0"));
  observed.containers = {MakeContainer({.id = "i0", .name = "first"})};
  EXPECT_THAT(Actions(), IsEmpty());
  observed.containers = {MakeContainer({.id = "i0", .name = "first", .state = CONTAINER_EXITED})};
  EXPECT_THAT(Actions(), ElementsAre("start container second (attempt 0) in sandbox s0"));
}

TEST_F(PodPlanTest, RestartsAFailedInitContainerAfterItsBackoff) {
  pod = MakePod({"main"}, {"first"});
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "i0", .name = "first", .state = CONTAINER_EXITED, .exit_code = 1})};
  EXPECT_THAT(Actions(), ElementsAre("start container first (attempt 1) in sandbox s0"));
}

TEST_F(PodPlanTest, SidecarsStartBeforeTheRestAndKeepRunning) {
  pod = MakePod({"main"}, {"sidecar", "after"});
  pod.mutable_spec()->mutable_initcontainers(0)->set_restartpolicy("Always");
  observed.sandboxes = {MakeSandbox("s0")};
  EXPECT_THAT(Actions(), ElementsAre("start container sidecar (attempt 0) in sandbox s0"));
  observed.containers = {MakeContainer({.id = "i0", .name = "sidecar"})};
  EXPECT_THAT(Actions(), ElementsAre("start container after (attempt 0) in sandbox s0"));
  observed.containers = {MakeContainer({.id = "c0", .name = "main"}),
                         MakeContainer({.id = "i0", .name = "sidecar", .state = CONTAINER_EXITED})};
  EXPECT_THAT(Actions(), ElementsAre("start container sidecar (attempt 1) in sandbox s0"));
}

TEST_F(PodPlanTest, FirstRestartIsImmediateThenTheWaitDoubles) {
  observed.sandboxes = {MakeSandbox("s0")};
  std::vector<Nanoseconds> waits;
  for (std::uint32_t life = 0; life < 8; ++life) {
    observed.containers = {MakeContainer({.id = "c" + std::to_string(life),
                                          .name = "main",
                                          .state = CONTAINER_EXITED,
                                          .restart_count = life,
                                          .exit_code = 1})};
    const PodPlan plan = Plan();
    waits.push_back(plan.actions.empty() ? *plan.wake_at - now : Nanoseconds::zero());
    if (plan.actions.empty()) {
      now = *plan.wake_at;
      EXPECT_THAT(Actions(), ElementsAre(HasSubstr("start container main")));
    }
  }
  EXPECT_EQ(waits, (std::vector<Nanoseconds>{seconds(0), seconds(10), seconds(20), seconds(40), seconds(80),
                                             seconds(160), seconds(300), seconds(300)}));
}

TEST_F(PodPlanTest, TenMinutesOfRunningForgiveEarlierCrashes) {
  observed.sandboxes = {MakeSandbox("s0")};
  memory.containers["main"] = {.crash_delay = minutes(5), .exited_id = "c6", .exit_seen = now};
  observed.containers = {MakeContainer(
      {.id = "c7", .name = "main", .state = CONTAINER_EXITED, .restart_count = 7, .exit_code = 1, .ran = minutes(10)})};
  EXPECT_THAT(Actions(), ElementsAre("start container main (attempt 8) in sandbox s0"));
}

TEST_F(PodPlanTest, ACrashLoopGoesOnWhereItWasAfterARestartOfTheAgent) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {
      MakeContainer({.id = "c3", .name = "main", .state = CONTAINER_EXITED, .restart_count = 3, .exit_code = 1})};
  const PodPlan plan = Plan();
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_EQ(*plan.wake_at - now, seconds(40));
}

// LC-21
TEST_F(PodPlanTest, ANewSandboxRunsInitContainersAgain) {
  pod = MakePod({"main"}, {"first"});
  observed.sandboxes = {MakeSandbox("s1", true, 1), MakeSandbox("s0", false, 0)};
  observed.containers = {
      MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_EXITED}),
      MakeContainer({.id = "i0", .name = "first", .state = CONTAINER_EXITED}),
  };
  EXPECT_THAT(Actions(), ElementsAre("start container first (attempt 1) in sandbox s1"));
}

TEST_F(PodPlanTest, ADeadSandboxIsReplacedAfterItsContainersAreStopped) {
  observed.sandboxes = {MakeSandbox("s0", false, 4)};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  EXPECT_THAT(Actions(), ElementsAre("stop container main c0 within 30s: the pod sandbox changed"));
  observed.containers[0].status.set_state(CONTAINER_EXITED);
  EXPECT_THAT(Actions(), ElementsAre("create sandbox (attempt 5)"));
}

// LC-11
TEST_F(PodPlanTest, ASandboxThatDiesAtOnceIsReplacedWithGrowingGaps) {
  std::vector<Nanoseconds> waits;
  for (int i = 0; i < 5; ++i) {
    const std::string id = "s" + std::to_string(i);
    observed.sandboxes = {MakeSandbox(id, true, static_cast<std::uint32_t>(i))};
    Plan();
    now += seconds(1);
    observed.sandboxes = {MakeSandbox(id, false, static_cast<std::uint32_t>(i))};
    const PodPlan plan = Plan();
    ASSERT_THAT(plan.actions, IsEmpty());
    EXPECT_THAT(plan.waiting_for, HasSubstr("the sandbox died"));
    waits.push_back(*plan.wake_at - now);
    now = *plan.wake_at;
    EXPECT_THAT(Actions(), ElementsAre(HasSubstr("create sandbox")));
  }
  EXPECT_EQ(waits, (std::vector<Nanoseconds>{seconds(1), seconds(2), seconds(4), seconds(8), seconds(16)}));
}

// LC-16
TEST_F(PodPlanTest, ACreatedContainerIsStarted) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_CREATED})};
  EXPECT_THAT(Actions(), ElementsAre("start created container main c0"));
}

// LC-17
TEST_F(PodPlanTest, AnUnknownContainerIsStoppedBeforeAnotherStarts) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_UNKNOWN})};
  EXPECT_THAT(Actions(), ElementsAre("stop container main c0 within 30s: its state is unknown"));
}

// LC-04
TEST_F(PodPlanTest, OneDeadInstanceStaysForItsLog) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {
      MakeContainer({.id = "c3", .name = "main", .restart_count = 3}),
      MakeContainer({.id = "c2", .name = "main", .state = CONTAINER_EXITED, .restart_count = 2}),
      MakeContainer({.id = "c1", .name = "main", .state = CONTAINER_EXITED, .restart_count = 1}),
      MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_EXITED, .restart_count = 0}),
  };
  EXPECT_THAT(Actions(), UnorderedElementsAre("remove container main c1", "remove container main c0"));
}

TEST_F(PodPlanTest, AttemptsGoOnAboveReservedNames) {
  observed.sandboxes = {MakeSandbox("s0")};
  memory.containers["main"].lowest_attempt = 2;  // LC-09: attempts 0 and 1 are held by calls that never answered
  EXPECT_THAT(Actions(), ElementsAre("start container main (attempt 2) in sandbox s0"));
}

TEST_F(PodPlanTest, AFailedOperationWaitsForItsBackoff) {
  observed.sandboxes = {MakeSandbox("s0")};
  Fail("start main");
  const PodPlan plan = Plan();
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_EQ(*plan.wake_at - now, seconds(2));
}

TEST_F(PodPlanTest, RestartPolicyNeverEndsThePodAndKeepsItEnded) {
  pod.mutable_spec()->set_restartpolicy("Never");
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_EXITED, .exit_code = 3})};
  EXPECT_THAT(Actions(), ElementsAre("stop sandbox s0"));
  EXPECT_EQ(memory.terminal_phase, "Failed");
  // LC-23: what runs afterwards is stopped; the phase stays.
  observed.containers[0].status.set_state(CONTAINER_RUNNING);
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("stop container main")));
  EXPECT_EQ(memory.terminal_phase, "Failed");
}

TEST_F(PodPlanTest, OnFailureRestartsFailuresOnly) {
  pod = MakePod({"good", "bad"});
  pod.mutable_spec()->set_restartpolicy("OnFailure");
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "good", .state = CONTAINER_EXITED}),
                         MakeContainer({.id = "c1", .name = "bad", .state = CONTAINER_EXITED, .exit_code = 1})};
  EXPECT_THAT(Actions(), ElementsAre("start container bad (attempt 1) in sandbox s0"));
}

TEST_F(PodPlanTest, TerminationStopsContainersThenSandboxThenRemovesAll) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  Terminate(seconds(30));
  EXPECT_THAT(Actions(), ElementsAre("stop container main c0 within 30s: gone"));
  observed.containers[0].status.set_state(CONTAINER_EXITED);
  EXPECT_THAT(Actions(), ElementsAre("stop sandbox s0"));
  observed.sandboxes[0].set_state(::runtime::v1::SANDBOX_NOTREADY);
  EXPECT_THAT(Actions(), ElementsAre("remove sandbox s0"));
  observed = {};
  EXPECT_THAT(Actions(), ElementsAre("tear down volumes, directories and links"));
  memory.torn_down = true;
  EXPECT_TRUE(Plan().finished);
}

// LC-19: the grace period is one clock; who comes later gets what is left.
TEST_F(PodPlanTest, SidecarsAreStoppedLastWithTheRestOfTheGracePeriod) {
  pod = MakePod({"main"}, {"first", "second"});
  pod.mutable_spec()->mutable_initcontainers(0)->set_restartpolicy("Always");
  pod.mutable_spec()->mutable_initcontainers(1)->set_restartpolicy("Always");
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"}), MakeContainer({.id = "i0", .name = "first"}),
                         MakeContainer({.id = "i1", .name = "second"})};
  Terminate(seconds(30));
  EXPECT_THAT(Actions(), ElementsAre("stop container main c0 within 30s: gone"));
  now += seconds(20);
  observed.containers[0].status.set_state(CONTAINER_EXITED);
  EXPECT_THAT(Actions(), ElementsAre("stop container second i1 within 10s: gone"));
  now += seconds(10);
  observed.containers[2].status.set_state(CONTAINER_EXITED);
  EXPECT_THAT(Actions(), ElementsAre("stop container first i0 within 2s: gone"));
}

// LC-20: a shorter grace takes effect, a longer one does not.
TEST_F(PodPlanTest, AShorterGraceReplacesTheStopUnderWay) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  memory.in_flight["stop c0"] = {.since = now, .kill_at = now + seconds(300)};
  Terminate(seconds(5));
  EXPECT_THAT(Actions(), ElementsAre("stop container main c0 within 5s: gone"));
  memory.in_flight["stop c0"].kill_at = now + seconds(5);
  Terminate(seconds(300));
  EXPECT_THAT(Actions(), IsEmpty());
}

// LC-14
TEST_F(PodPlanTest, AStopThatTheRuntimeRefusesGetsHarsher) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  Terminate(seconds(30));
  Fail("stop c0");
  now += seconds(2);
  EXPECT_THAT(Actions(), ElementsAre("stop container main c0 within 0s: gone"));
  Fail("stop c0");
  EXPECT_THAT(Actions(), ElementsAre("stop sandbox s0"));
  Fail("stop s0", 4);
  EXPECT_THAT(Actions(), ElementsAre("remove sandbox s0"));
}

// LC-27
TEST_F(PodPlanTest, ASandboxIsNotForgottenBeforeItsRemovalSucceeded) {
  observed.sandboxes = {MakeSandbox("s0", false)};
  Terminate(seconds(30));
  Fail("remove s0", 20);
  const PodPlan plan = Plan();
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_FALSE(plan.finished);
  EXPECT_EQ(*plan.wake_at - now, minutes(5));
}

TEST_F(PodPlanTest, TerminationWaitsForStartsThatAreBeingCancelled) {
  memory.in_flight["sandbox"] = {.since = now};
  Terminate(seconds(30));
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(PodPlanTest, OlderSandboxesAreRemovedOnceEmpty) {
  observed.sandboxes = {MakeSandbox("s1", true, 1), MakeSandbox("s0", false, 0)};
  observed.containers = {MakeContainer({.id = "c1", .name = "main", .sandbox_id = "s1", .restart_count = 1})};
  EXPECT_THAT(Actions(), ElementsAre("remove sandbox s0"));
}

}  // namespace
}  // namespace daemonsetd::decide
