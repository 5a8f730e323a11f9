// Probes and hooks in the life of a pod: what a result or a hook's end makes the engine do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/decide/pod_status.h"
#include "agent/model/defaulting.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Behaviour;
using ::testing::Contains;
using testing::ExecAnswer;
using testing::Fault;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ProbesAndHooksTest : public PodEngineTest {
 protected:
  ProbesAndHooksTest() {
    runtime.SetExec([this](const cri::v1::ExecSyncRequest& request) {
      ++execs[request.cmd(0)];
      return answers[request.cmd(0)];
    });
  }

  static void Exec(corev1::Probe& probe, const std::string& command, int period, int failures) {
    probe.mutable_handler()->mutable_exec()->add_command(command);
    probe.set_periodseconds(period);
    probe.set_failurethreshold(failures);
    probe.set_timeoutseconds(1);
    probe.set_successthreshold(1);
  }
  void Run(const DaemonSetSource& daemon_set) {
    daemon_sets = {daemon_set};
    Apply();
    loop.Advance(seconds(5));
  }
  bool Ready() { return decide::IsReady(PodStatus()); }
  void Fail(const std::string& command) { answers[command] = ExecAnswer{.exit_code = 1}; }
  void Succeed(const std::string& command) { answers[command] = ExecAnswer{}; }
  std::vector<Seconds> Graces() {
    std::vector<Seconds> graces;
    for (const auto& call : runtime.calls()) {
      if (call.method != "StopContainer") continue;
      graces.emplace_back(static_cast<const cri::v1::StopContainerRequest&>(*call.request).timeout());
    }
    return graces;
  }

  std::map<std::string, ExecAnswer> answers;
  std::map<std::string, int> execs;
  DaemonSetSource set = MakeDaemonSet("a");
};

TEST_F(ProbesAndHooksTest, ReadinessFollowsTheProbeAndRestartsNothing) {
  Exec(*Main(set).mutable_readinessprobe(), "ready", 10, 2);
  Fail("ready");
  Run(set);
  const auto before = RunningContainers();
  EXPECT_FALSE(Ready());
  Succeed("ready");
  loop.Advance(seconds(10));
  EXPECT_TRUE(Ready());
  Fail("ready");
  loop.Advance(seconds(10));
  EXPECT_TRUE(Ready()) << "one failure of two";
  loop.Advance(seconds(10));
  EXPECT_FALSE(Ready());
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_THAT(EventReasons(), Contains("Unhealthy"));
}

TEST_F(ProbesAndHooksTest, AFailedLivenessProbeRestartsTheContainerWithTheProbesGrace) {  // PB-11
  Exec(*Main(set).mutable_livenessprobe(), "live", 10, 3);
  Main(set).mutable_livenessprobe()->set_terminationgraceperiodseconds(5);
  Run(set);
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));
  Fail("live");
  loop.Advance(seconds(20));
  EXPECT_EQ(RunningContainers(), before);
  loop.Advance(seconds(15));
  EXPECT_EQ(Graces(), std::vector<Seconds>{seconds(5)});
  EXPECT_THAT(RunningContainers(), Not(Contains(before[0])));
  Succeed("live");
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(PodStatus().containerstatuses(0).restartcount(), 1);
  EXPECT_THAT(EventReasons(), Contains("Killing"));
}

// PB-03, PB-04: each life of a container has to start by itself.
TEST_F(ProbesAndHooksTest, LivenessWaitsForTheStartupProbeInEveryLife) {
  Exec(*Main(set).mutable_startupprobe(), "started", 1, 1000);
  Exec(*Main(set).mutable_livenessprobe(), "live", 1, 1);
  Fail("started");
  Fail("live");
  Run(set);
  EXPECT_EQ(execs["live"], 0);
  EXPECT_FALSE(Ready());
  EXPECT_FALSE(PodStatus().containerstatuses(0).started());
  Succeed("started");
  Succeed("live");
  loop.Advance(seconds(3));
  EXPECT_TRUE(Ready());
  Fail("started");
  runtime.ExitContainer(RunningContainers()[0], 1);
  loop.Advance(seconds(3));
  const int probed = execs["live"];
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(execs["live"], probed);
  EXPECT_FALSE(Ready());
}

// PB-05, PB-06
TEST_F(ProbesAndHooksTest, WhileThePodEndsOnlyReadinessIsProbed) {
  Exec(*Main(set).mutable_livenessprobe(), "live", 1, 1);
  Exec(*Main(set).mutable_readinessprobe(), "ready", 1, 1);
  runtime.SetBehaviour("main", Behaviour{.ignores_term = true});
  Run(set);
  EXPECT_TRUE(Ready());
  daemon_sets.clear();
  Apply();
  loop.Advance(seconds(2));
  Fail("live");
  Fail("ready");
  const int live = execs["live"];
  const int ready = execs["ready"];
  loop.Advance(seconds(10));
  EXPECT_EQ(execs["live"], live);
  EXPECT_GT(execs["ready"], ready);
  EXPECT_FALSE(Ready());
  EXPECT_EQ(Graces(), std::vector<Seconds>{seconds(30)});
}

// PB-07: a runtime that ignores the timeout costs one open call and one failure, and delays no other probe.
TEST_F(ProbesAndHooksTest, AnExecThatNeverEndsIsAFailureOnTimeAndDelaysNothingElse) {
  Exec(*Main(set).mutable_readinessprobe(), "ready", 2, 1);
  Exec(*Main(set).mutable_livenessprobe(), "live", 2, 1000);
  Run(set);
  EXPECT_TRUE(Ready());
  answers["live"] = ExecAnswer{.takes = minutes(30)};
  loop.Advance(seconds(2));
  const int ready = execs["ready"];
  loop.Advance(minutes(1));
  EXPECT_GE(execs["ready"], ready + 25);
  EXPECT_THAT(EventReasons(), Contains("Unhealthy"));
  EXPECT_TRUE(Ready());
}

// PB-01
TEST_F(ProbesAndHooksTest, AReadyPodStaysReadyOverARestartUntilItsProbeHasReallyFailed) {
  Exec(*Main(set).mutable_readinessprobe(), "ready", 10, 3);
  Run(set);
  EXPECT_TRUE(Ready());
  Fail("ready");
  Restart();
  loop.Settle();
  EXPECT_TRUE(Ready());
  loop.Advance(seconds(20));
  EXPECT_TRUE(Ready()) << "two failures of three";
  loop.Advance(seconds(20));
  EXPECT_FALSE(Ready());
}

// PB-02
TEST_F(ProbesAndHooksTest, AnUnreadyPodIsNotReadyAfterARestart) {
  Exec(*Main(set).mutable_readinessprobe(), "ready", 10, 3);
  Fail("ready");
  Run(set);
  for (int i = 0; i < 20; ++i) {
    Restart();
    loop.Settle();
    EXPECT_FALSE(Ready());
  }
}

// PB-03
TEST_F(ProbesAndHooksTest, AContainerInItsStartupProbeStaysThereOverARestart) {
  Exec(*Main(set).mutable_startupprobe(), "started", 10, 1000);
  Exec(*Main(set).mutable_livenessprobe(), "live", 1, 1);
  Fail("started");
  Fail("live");
  Run(set);
  Restart();
  loop.Advance(minutes(1));
  EXPECT_FALSE(Ready());
  EXPECT_EQ(execs["live"], 0);
  Succeed("started");
  Succeed("live");
  loop.Advance(seconds(20));
  EXPECT_TRUE(Ready());
  const int probed = execs["started"];
  Restart();
  loop.Advance(minutes(1));
  EXPECT_TRUE(Ready());
  EXPECT_EQ(execs["started"], probed) << "what has started does not start again";
}

TEST_F(ProbesAndHooksTest, APostStartHookThatTheAgentDidNotSeeEndRunsAgain) {
  Main(set).mutable_lifecycle()->mutable_poststart()->mutable_exec()->add_command("hook");
  answers["hook"] = ExecAnswer{.takes = minutes(5)};
  Run(set);
  Stop();
  Succeed("hook");
  Start();
  loop.Advance(seconds(5));
  EXPECT_EQ(execs["hook"], 2);
  EXPECT_TRUE(Ready());
  Restart();
  loop.Advance(seconds(5));
  EXPECT_EQ(execs["hook"], 2);
}

TEST_F(ProbesAndHooksTest, NothingWaitsForAStartedContainerUntilItsPostStartHookIsDone) {
  Main(set).mutable_lifecycle()->mutable_poststart()->mutable_exec()->add_command("hook");
  corev1::Container& second = *set.object.mutable_spec()->mutable_template_()->mutable_spec()->add_containers();
  second.set_name("second");
  second.set_image(kImage);
  model::SetDefaults(set.object);
  answers["hook"] = ExecAnswer{.takes = seconds(20)};
  Run(set);
  EXPECT_THAT(RunningContainers(), SizeIs(1)) << "the second container waits for the hook of the first";
  EXPECT_FALSE(Ready());
  loop.Advance(seconds(20));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
  EXPECT_TRUE(Ready());
  EXPECT_EQ(execs["hook"], 1);
}

TEST_F(ProbesAndHooksTest, AFailedPostStartHookEndsTheContainer) {
  Main(set).mutable_lifecycle()->mutable_poststart()->mutable_exec()->add_command("hook");
  Fail("hook");
  Run(set);
  loop.Advance(minutes(2));
  EXPECT_GT(execs["hook"], 1);
  EXPECT_FALSE(Ready());
  EXPECT_GT(PodStatus().containerstatuses(0).restartcount(), 0);
  EXPECT_THAT(EventReasons(), Contains("FailedPostStartHook"));
}

// LC-19: one clock for hook and signal.
TEST_F(ProbesAndHooksTest, AHangingPreStopHookGetsNoMoreThanTheGrace) {
  Main(set).mutable_lifecycle()->mutable_prestop()->mutable_exec()->add_command("hook");
  answers["hook"] = ExecAnswer{.takes = minutes(30)};
  runtime.SetBehaviour("main", Behaviour{.ignores_term = true});
  Run(set);
  daemon_sets.clear();
  Apply();
  loop.Advance(seconds(29));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(Graces(), IsEmpty());
  loop.Advance(seconds(3));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_EQ(Graces(), std::vector<Seconds>{seconds(2)});
  EXPECT_THAT(EventReasons(), Contains("FailedPreStopHook"));  // LC-20
}

TEST_F(ProbesAndHooksTest, TheSignalGetsWhatThePreStopHookLeft) {
  Main(set).mutable_lifecycle()->mutable_prestop()->mutable_sleep()->set_seconds(10);
  Run(set);
  daemon_sets.clear();
  Apply();
  loop.Advance(seconds(9));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  loop.Advance(seconds(2));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_EQ(Graces(), std::vector<Seconds>{seconds(20)});
  EXPECT_THAT(EventReasons(), Not(Contains("FailedPreStopHook")));
}

// LC-20: a shorter grace on a second request counts, also in the middle of the hook; the hook runs once.
TEST_F(ProbesAndHooksTest, AShorterGraceCutsThePreStopHookShort) {
  set.object.mutable_spec()->mutable_template_()->mutable_spec()->set_terminationgraceperiodseconds(300);
  Main(set).mutable_lifecycle()->mutable_prestop()->mutable_exec()->add_command("hook");
  answers["hook"] = ExecAnswer{.takes = minutes(30)};
  runtime.SetBehaviour("main", Behaviour{.ignores_term = true});
  Run(set);
  const auto before = RunningContainers();
  PodWorker& worker = *engine->workers.all().begin()->second;
  worker.Terminate(seconds(300), "deleted");
  loop.Advance(seconds(10));
  worker.Terminate(seconds(5), "deleted");
  loop.Advance(seconds(4));
  EXPECT_EQ(RunningContainers(), before);
  loop.Advance(seconds(4));
  EXPECT_THAT(RunningContainers(), Not(Contains(before.at(0))));
  EXPECT_EQ(execs["hook"], 1);
}

TEST_F(ProbesAndHooksTest, ASidecarGatesWhatFollowsItByHavingStarted) {
  corev1::Container& sidecar = *set.object.mutable_spec()->mutable_template_()->mutable_spec()->add_initcontainers();
  sidecar.set_name("proxy");
  sidecar.set_image(kImage);
  sidecar.set_restartpolicy("Always");
  Exec(*sidecar.mutable_startupprobe(), "started", 1, 1000);
  model::SetDefaults(set.object);
  Fail("started");
  Run(set);
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  Succeed("started");
  loop.Advance(seconds(3));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
  EXPECT_TRUE(Ready());
}

}  // namespace
}  // namespace daemonsetd::pods
