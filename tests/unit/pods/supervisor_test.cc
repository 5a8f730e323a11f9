// The pod engine on a runtime that behaves and fails on demand: supervisor, workers, runtime view and their operations.
#include "agent/pods/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using testing::Behaviour;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Fault;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;

class SupervisorTest : public PodEngineTest {
 protected:
  // "Normal SuccessfulCreate default/a: Created pod: a-x7k2p", newest last.
  std::vector<std::string> Events(const std::string& kind) {
    std::vector<std::string> texts;
    for (const auto& logged : engine->events.Recent()) {
      const corev1::Event& event = logged->event;
      if (event.involvedobject().kind() != kind) continue;
      texts.push_back(event.type() + " " + event.reason() + " " + event.involvedobject().namespace_() + "/" +
                      event.involvedobject().name() + ": " + event.message());
    }
    return texts;
  }
  void SetAllocatable(const std::string& cpu) {
    auto& allocatable = *engine->node.mutable_status()->mutable_allocatable();
    allocatable["cpu"].set_string(cpu);
    allocatable["pods"].set_string("110");
  }
  DaemonSetSource WithLongestCrashWait(const std::string& value) {
    DaemonSetSource set = MakeDaemonSet("a");
    auto& annotations = *set.object.mutable_spec()->mutable_template_()->mutable_metadata()->mutable_annotations();
    annotations["daemonsetd.dev/crash-loop-back-off-maximum"] = value;
    return set;
  }
  DaemonSetSource OnItsOwnNetwork() {
    DaemonSetSource set = MakeDaemonSet("own");
    set.object.mutable_spec()->mutable_template_()->mutable_spec()->set_hostnetwork(false);
    return set;
  }
};

TEST_F(SupervisorTest, RunsWhatTheSourcesAskForAndStopsWhatTheyDropped) {
  daemon_sets = {MakeDaemonSet("a"), MakeDaemonSet("b")};
  Apply();
  loop.Advance(seconds(5));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
  daemon_sets.pop_back();
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(runtime.Sandboxes(), SizeIs(1));
}

// LC-22, PK-05: a restart of the agent touches nothing.
TEST_F(SupervisorTest, ARestartAdoptsEverything) {
  daemon_sets = {MakeDaemonSet("a"), MakeDaemonSet("b")};
  Apply();
  loop.Advance(seconds(5));
  const auto before = RunningContainers();
  for (int i = 0; i < 5; ++i) {
    Restart();
    loop.Advance(seconds(5));
    EXPECT_EQ(RunningContainers(), before);
  }
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 2);
  EXPECT_EQ(runtime.Count("StopContainer"), 0);
}

// OF-16: what a reboot left behind is taken over, not tripped over.
TEST_F(SupervisorTest, AfterARebootThePodRunsAgainInANewSandbox) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  Stop();
  runtime.Boot();
  Start();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  const auto sandboxes = runtime.Sandboxes();
  const auto ready = std::count_if(sandboxes.begin(), sandboxes.end(),
                                   [](const auto& s) { return s.state() == cri::v1::SANDBOX_READY; });
  EXPECT_EQ(ready, 1);
}

// LC-09: the runtime finished a call that we no longer waited for.
TEST_F(SupervisorTest, AContainerCreatedAfterTheDeadlineIsAdopted) {
  runtime.Inject("CreateContainer", Fault::FailAfterEffect(Error(ErrorKind::kTimeout, "deadline")));
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(runtime.Count("CreateContainer"), 1);
}

// LC-10
TEST_F(SupervisorTest, AReservedSandboxNameIsPassedBy) {
  runtime.Inject("RunPodSandbox", Fault::Fail(Error(ErrorKind::kExists, "name is reserved")));
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(minutes(1));
  ASSERT_THAT(runtime.Sandboxes(), SizeIs(1));
  EXPECT_EQ(runtime.Sandboxes()[0].metadata().attempt(), 1u);
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// containerd killed in the middle of a start may answer "task already exists" to every later one of that container.
TEST_F(SupervisorTest, AContainerThatIsStartedInHalfMakesRoomForANewOne) {
  daemon_sets = {MakeDaemonSet("a")};
  runtime.Inject("StartContainer", Fault::Fail(Error(ErrorKind::kRetry, "Socket closed")));
  runtime.Inject("StartContainer", Fault::Fail(Error(ErrorKind::kExists, "task already exists")));
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(runtime.Containers(), SizeIs(1));
  EXPECT_EQ(runtime.Count("StartContainer"), 3);
  EXPECT_EQ(runtime.Count("CreateContainer"), 2);
}

// LC-12
TEST_F(SupervisorTest, OneHungCallIsolatesOnePod) {
  daemon_sets = {MakeDaemonSet("a"), MakeDaemonSet("b")};
  runtime.Inject("RunPodSandbox", Fault::Hang());
  Apply();
  loop.Advance(seconds(10));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  runtime.ReleaseHung();
  loop.Advance(minutes(5));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
}

// LC-03, LC-04
TEST_F(SupervisorTest, ACrashLoopIsSlowedDownAndLeavesLittleBehind) {
  runtime.SetBehaviour("main", Behaviour{.exits_after = seconds(1), .exit_code = 1});
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(minutes(10));
  EXPECT_LE(runtime.Count("CreateContainer"), 8);
  EXPECT_GE(runtime.Count("CreateContainer"), 5);
  EXPECT_LE(runtime.Containers().size(), 2u);
}

// RO-05: without surge, old and new never overlap.
TEST_F(SupervisorTest, AChangedTemplateReplacesThePodWithoutOverlap) {
  runtime.SetBehaviour("main", Behaviour{.ignores_term = true});
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  const auto before = RunningContainers();
  auto& spec = *daemon_sets[0].object.mutable_spec()->mutable_template_()->mutable_spec();
  spec.mutable_containers(0)->add_args("--changed");
  Apply();
  loop.Advance(seconds(20));
  EXPECT_EQ(RunningContainers(), before) << "the old container has 30 s of grace";
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
  EXPECT_THAT(runtime.Sandboxes(), SizeIs(1));
}

void SetLimit(corev1::Container& container, const std::string& name, const std::string& amount) {
  (*container.mutable_resources()->mutable_limits())[name].set_string(amount);
}

TEST_F(SupervisorTest, ResourcesThatChangeAloneChangeUnderTheRunningContainer) {
  daemon_sets = {MakeDaemonSet("a")};
  (*Main(daemon_sets[0]).mutable_resources()->mutable_requests())["cpu"].set_string("10m");
  SetLimit(Main(daemon_sets[0]), "memory", "64Mi");
  Apply();
  loop.Advance(seconds(5));
  const auto before = RunningContainers();
  SetLimit(Main(daemon_sets[0]), "memory", "128Mi");
  Apply();
  loop.Advance(seconds(5));
  EXPECT_EQ(RunningContainers(), before);
  ASSERT_EQ(runtime.Count("UpdateContainerResources"), 1);
  for (const auto& call : runtime.calls()) {
    if (call.method != "UpdateContainerResources") continue;
    const auto& request = static_cast<const cri::v1::UpdateContainerResourcesRequest&>(*call.request);
    EXPECT_EQ(request.linux().memory_limit_in_bytes(), 128 << 20);
  }
  Restart();  // what the sandbox says of the template is older than the pod now
  loop.Advance(minutes(1));
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_LE(runtime.Count("UpdateContainerResources"), 2) << "an agent that cannot know sets them once more";
}

// A restart does not make a running pod's room free for others, whatever its template says by now.
TEST_F(SupervisorTest, AfterARestartAPodOfAnOlderTemplateKeepsWhatItHolds) {
  SetAllocatable("1");
  daemon_sets = {MakeDaemonSet("z")};
  (*Main(daemon_sets[0]).mutable_resources()->mutable_requests())["cpu"].set_string("800m");
  Apply();
  loop.Advance(seconds(5));
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));

  Stop();
  (*Main(daemon_sets[0]).mutable_resources()->mutable_requests())["cpu"].set_string("700m");
  daemon_sets.push_back(MakeDaemonSet("a"));  // planned first
  (*Main(daemon_sets[1]).mutable_resources()->mutable_requests())["cpu"].set_string("500m");
  Start();
  SetAllocatable("1");  // before the runtime is read
  loop.Advance(minutes(1));
  EXPECT_EQ(RunningContainers(), before);
}

TEST_F(SupervisorTest, AResizePolicyMayAskForARestartOfTheContainer) {
  daemon_sets = {MakeDaemonSet("a")};
  (*Main(daemon_sets[0]).mutable_resources()->mutable_requests())["cpu"].set_string("10m");
  SetLimit(Main(daemon_sets[0]), "memory", "64Mi");
  corev1::ContainerResizePolicy& policy = *Main(daemon_sets[0]).add_resizepolicy();
  policy.set_resourcename("memory");
  policy.set_restartpolicy("RestartContainer");
  Apply();
  loop.Advance(seconds(5));
  const auto before = RunningContainers();
  SetLimit(Main(daemon_sets[0]), "memory", "128Mi");
  Apply();
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 1) << "the pod stays";
}

TEST_F(SupervisorTest, ResourcesThatChangeTheQosClassNeedANewPod) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  SetLimit(Main(daemon_sets[0]), "memory", "128Mi");
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 2);
}

// LC-14, LC-27: a runtime that cannot stop is asked again, harder, until it is done.
TEST_F(SupervisorTest, AStopThatFailsIsRepeatedUntilNothingIsLeft) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  runtime.Inject("StopContainer", Fault::Fail(Error(ErrorKind::kTimeout, "deadline")), 2);
  runtime.Inject("StopPodSandbox", Fault::Fail(Error(ErrorKind::kRetry, "CNI")), 3);
  daemon_sets.clear();
  Apply();
  loop.Advance(minutes(5));
  EXPECT_THAT(runtime.Sandboxes(), SizeIs(0));
  EXPECT_TRUE(engine->workers.all().empty());
}

// LC-07: what is left of a removed pod is taken down by whichever process comes next.
TEST_F(SupervisorTest, AStopThatFailsIsRepeatedAfterARestartOfTheAgent) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  runtime.Inject("StopPodSandbox", Fault::Fail(Error(ErrorKind::kRetry, "CNI")), 5);
  daemon_sets.clear();
  Apply();
  for (int i = 0; i < 2; ++i) {
    loop.Advance(seconds(3));
    EXPECT_THAT(runtime.Sandboxes(), SizeIs(1));
    Restart();
  }
  loop.Advance(minutes(5));
  EXPECT_THAT(runtime.Sandboxes(), SizeIs(0));
  EXPECT_THAT(runtime.Containers(), SizeIs(0));
  EXPECT_TRUE(engine->workers.all().empty());
}

// LC-24
TEST_F(SupervisorTest, APodMayAskForAShorterCrashBackOff) {
  runtime.SetBehaviour("main", Behaviour{.exits_after = seconds(1), .exit_code = 1});
  daemon_sets = {WithLongestCrashWait("30s")};
  Apply();
  loop.Advance(minutes(10));
  std::vector<std::int64_t> gaps;  // whole seconds between two starts
  std::optional<MonoTime> last;
  for (const auto& call : runtime.calls()) {
    if (call.method != "StartContainer") continue;
    if (last) gaps.push_back(std::chrono::round<seconds>(call.at - *last).count());
    last = call.at;
  }
  ASSERT_GE(gaps.size(), 15u);
  EXPECT_LE(gaps[0], 3);  // the first restart is at once, as the kubelet's
  for (std::size_t i = 4; i < gaps.size(); ++i) EXPECT_THAT(gaps[i], AllOf(Ge(30), Le(34))) << "restart " << i;
}

TEST_F(SupervisorTest, BetweenTwoPullsAPodSaysThatItBacksOff) {
  daemon_sets = {MakeDaemonSet("agent")};
  Main(daemon_sets[0]).set_image("docker.io/library/missing:1");
  Apply();
  const auto reason = [this] { return PodStatus().containerstatuses(0).state().waiting().reason(); };
  loop.Advance(seconds(1));
  EXPECT_EQ(reason(), "ErrImagePull");
  loop.Advance(seconds(4));
  EXPECT_EQ(reason(), "ImagePullBackOff");
  loop.Advance(minutes(10));
  EXPECT_EQ(reason(), "ImagePullBackOff");
  std::vector<std::int64_t> gaps;  // seconds between two pulls: the image's own back-off
  std::optional<MonoTime> last;
  for (const auto& call : runtime.calls()) {
    if (call.method != "PullImage") continue;
    if (last) gaps.push_back(std::chrono::round<seconds>(call.at - *last).count());
    last = call.at;
  }
  EXPECT_THAT(gaps, ElementsAre(10, 20, 40, 80, 160));
}

TEST_F(SupervisorTest, EveryWaitAfterACrashIsToldAsAnEvent) {
  runtime.SetBehaviour("main", Behaviour{.exits_after = seconds(1), .exit_code = 1});
  daemon_sets = {MakeDaemonSet("agent")};
  Apply();
  loop.Advance(minutes(2));
  int told = 0;
  for (const auto& logged : engine->events.Recent()) {
    if (logged->event.reason() != "BackOff") continue;
    EXPECT_THAT(logged->event.message(), HasSubstr("Back-off restarting failed container main in pod "));
    told += logged->event.count();
  }
  const corev1::ContainerStatus& main = PodStatus().containerstatuses(0);
  ASSERT_EQ(main.state().waiting().reason(), "CrashLoopBackOff");
  EXPECT_GE(main.restartcount(), 3);
  EXPECT_EQ(told, main.restartcount()) << "the first restart was at once, and one wait is under way";
}

TEST_F(SupervisorTest, AnAnnotationThatCannotBeReadIsToldAsAnEvent) {
  daemon_sets = {WithLongestCrashWait("never")};
  Apply();
  loop.Advance(seconds(5));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(EventReasons(), Contains("InvalidAnnotation"));
}

// LC-26: the pod that sets the network up must run before the network is there.
TEST_F(SupervisorTest, OnlyPodsWithANetworkOfTheirOwnWaitForTheNetwork) {
  runtime.SetNetworkReady(false);
  daemon_sets = {MakeDaemonSet("host"), OnItsOwnNetwork()};
  Apply();
  loop.Advance(minutes(2));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 1);
  EXPECT_LE(runtime.Count("Status"), 125) << "asked once a second, for all that wait";
  EXPECT_EQ(std::ranges::count(EventReasons(), "NetworkNotReady"), 1);
  std::vector<std::string> waits;
  for (const auto& [uid, worker] : engine->workers.all()) waits.push_back(worker->waiting_for());
  EXPECT_THAT(waits, Contains(HasSubstr("NetworkReady=false")));

  runtime.SetNetworkReady(true);
  loop.Advance(seconds(2));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
}

TEST_F(SupervisorTest, APodThatWaitsForTheNetworkCanGo) {
  runtime.SetNetworkReady(false);
  daemon_sets = {OnItsOwnNetwork()};
  Apply();
  loop.Advance(seconds(5));
  daemon_sets.clear();
  Apply();
  loop.Advance(seconds(5));
  EXPECT_TRUE(engine->workers.all().empty());
}

// LC-13: the runtime goes away and comes back; nothing is restarted.
TEST_F(SupervisorTest, ARestartOfTheRuntimeRestartsNothing) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  const auto before = RunningContainers();
  runtime.SetDown(true);
  loop.Advance(minutes(1));
  runtime.SetDown(false);
  runtime.Restart();
  loop.Advance(minutes(1));
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 1);
}

// A name and a UID are used once, also when no pod of the set is left that could tell the number.
TEST_F(SupervisorTest, TheSequenceGoesOnAfterARestartWithoutPods) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  ASSERT_THAT(runtime.Sandboxes(), SizeIs(1));
  const std::string first = runtime.Sandboxes()[0].metadata().uid();
  daemon_sets.clear();
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(runtime.Sandboxes(), SizeIs(0));
  Restart();
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  ASSERT_THAT(runtime.Sandboxes(), SizeIs(1));
  EXPECT_NE(runtime.Sandboxes()[0].metadata().uid(), first);
  EXPECT_EQ(records.workloads.at("uid-of-a").next_sequence(), 2U);
  EXPECT_EQ(records.workloads.at("uid-of-a").name(), "a");
}

TEST_F(SupervisorTest, AnIdleNodeWritesNoRecords) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  const int puts = records.puts;
  Apply();
  loop.Advance(minutes(10));
  EXPECT_EQ(records.puts, puts);
}

TEST_F(SupervisorTest, TheRecordOfAPodThatIsGoneGoesWithIt) {
  checkpointv1::PodRecord left;
  left.set_uid("of-an-earlier-life");
  records.Put(left);
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  EXPECT_FALSE(records.pods.contains("of-an-earlier-life"));
  const std::string uid = runtime.Sandboxes()[0].metadata().uid();
  checkpointv1::PodRecord record;
  record.set_uid(uid);
  records.Put(record);
  Restart();
  loop.Advance(seconds(5));
  EXPECT_TRUE(records.pods.contains(uid));
  daemon_sets.clear();
  Apply();
  loop.Advance(minutes(1));
  EXPECT_FALSE(records.pods.contains(uid));
}

TEST_F(SupervisorTest, TellsWhatItDoesAsEventsOfTheDaemonSet) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  ASSERT_THAT(Events("DaemonSet"), SizeIs(1));
  const std::string pod = runtime.Sandboxes()[0].metadata().name();
  EXPECT_EQ(Events("DaemonSet")[0], "Normal SuccessfulCreate default/a: Created pod: " + pod);
  daemon_sets.clear();
  Apply();
  loop.Advance(minutes(1));
  ASSERT_THAT(Events("DaemonSet"), SizeIs(2));
  EXPECT_EQ(Events("DaemonSet")[1],
            "Normal SuccessfulDelete default/a: Deleted pod: " + pod + " (no manifest asks for it any more)");
}

TEST_F(SupervisorTest, ARefusalIsToldOncePerReason) {
  SetAllocatable("1");
  DaemonSetSource source = MakeDaemonSet("a");
  auto* container = source.object.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0);
  (*container->mutable_resources()->mutable_requests())["cpu"].set_string("2");
  daemon_sets = {source};
  for (int i = 0; i < 5; ++i) {
    Apply();
    loop.Advance(minutes(1));
  }
  ASSERT_THAT(Events("DaemonSet"), SizeIs(1));
  EXPECT_THAT(Events("DaemonSet")[0],
              ::testing::StartsWith("Warning FailedPlacement default/a: failed to place pod on \"node-a\": "));
  EXPECT_EQ(engine->events.Recent()[0]->event.count(), 1);
}

TEST_F(SupervisorTest, ARestartStopsThePodAndStartsTheNextOne) {
  daemon_sets = {MakeDaemonSet("a"), MakeDaemonSet("b")};
  Apply();
  loop.Advance(seconds(5));
  const auto names = engine->supervisor.RestartDaemonSet("default", "a");
  ASSERT_TRUE(names);
  ASSERT_THAT(*names, SizeIs(1));
  // While it stops there is nothing to restart.
  const auto again = engine->supervisor.RestartDaemonSet("default", "a");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(engine->supervisor.RestartPod("default", (*names)[0]).error().kind(), ErrorKind::kConflict);
  loop.Advance(minutes(1));
  ASSERT_THAT(runtime.Sandboxes(), SizeIs(2));
  for (const auto& sandbox : runtime.Sandboxes()) EXPECT_NE(sandbox.metadata().name(), (*names)[0]);
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 3);

  const std::string pod = runtime.Sandboxes()[0].metadata().name();
  ASSERT_TRUE(engine->supervisor.RestartPod("default", pod));
  loop.Advance(minutes(1));
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 4);
}

TEST_F(SupervisorTest, ARestartOfWhatIsNotHereSaysSo) {
  EXPECT_EQ(engine->supervisor.RestartDaemonSet("default", "none").error().kind(), ErrorKind::kAbsent);
  EXPECT_EQ(engine->supervisor.RestartPod("default", "none").error().kind(), ErrorKind::kAbsent);
  DaemonSetSource elsewhere = MakeDaemonSet("elsewhere");
  (*elsewhere.object.mutable_spec()->mutable_template_()->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  daemon_sets = {elsewhere};
  Apply();
  loop.Advance(seconds(5));
  const auto refused = engine->supervisor.RestartDaemonSet("default", "elsewhere");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("disk"));
}

}  // namespace
}  // namespace daemonsetd::pods
