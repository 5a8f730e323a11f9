// What a node does by itself in a rolling update; the test is the coordinator, which deletes an old Pod object or marks
// it for a surge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_status.h"
#include "agent/model/defaulting.h"
#include "tests/unit/cluster/pod_sync_fixture.h"

namespace daemonsetd::cluster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;

class PodSyncUpdateTest : public PodSyncTest {
 protected:
  // The template's version is a variable of the environment: another spec of the same image.
  pods::DaemonSetSource Version(const std::string& version) {
    auto set = MakeDaemonSet("a");
    corev1::EnvVar& variable = *Main(set).add_env();
    variable.set_name("VERSION");
    variable.set_value(version);
    if (!cpu.empty()) (*Main(set).mutable_resources()->mutable_requests())["cpu"].set_string(cpu);
    appsv1::DaemonSetUpdateStrategy& strategy = *set.object.mutable_spec()->mutable_updatestrategy();
    strategy.set_type("RollingUpdate");
    if (surges) strategy.mutable_rollingupdate()->mutable_maxsurge()->set_intval(1);
    set.object.mutable_spec()->set_minreadyseconds(min_ready_seconds);
    return set;
  }
  void Apply(const std::string& version) { Put(Version(version).object); }
  void DeletePod(const std::string& name) { api.AskToEnd(api.stored.at(name)); }
  void DeleteOnlyPod() { DeletePod(OnlyPod().metadata().name()); }
  void Mark(const std::string& name) { Mark(name, HashNow("a")); }
  void Mark(const std::string& name, const std::string& hash) {
    corev1::Pod pod = api.stored.at(name);
    (*pod.mutable_metadata()->mutable_annotations())[decide::kSurgeAnnotation] = hash;
    api.Store(pod);
  }
  // "1", and then "2" beside it, as a coordinator wants it.
  void RunOldAndNew() {
    surges = true;
    Apply("1");
    old_name = OnlyPod().metadata().name();
    old_containers = RunningContainers();
    Apply("2");
    Mark(old_name);
    loop.Advance(seconds(2));
  }
  const corev1::Pod& NewPod() const {
    for (const auto& [name, pod] : api.stored) {
      if (name != old_name) return pod;
    }
    throw std::logic_error("there is no new pod");
  }
  bool OldIsAskedToEnd() const { return api.stored.at(old_name).metadata().has_deletiontimestamp(); }
  int Starts() const { return runtime.Count("RunPodSandbox"); }
  static void Probe(corev1::Container& container) {
    corev1::Probe& probe = *container.mutable_readinessprobe();
    probe.mutable_handler()->mutable_exec()->add_command("ready");
    probe.set_periodseconds(2);
    probe.set_failurethreshold(1);
    probe.set_timeoutseconds(1);
    probe.set_successthreshold(1);
  }

  bool surges = false;
  int min_ready_seconds = 0;
  std::string cpu;
  std::string old_name;
  std::vector<std::string> old_containers;
};

// ---- One after the other

// RO-05
TEST_F(PodSyncUpdateTest, TheNewSandboxComesOnlyAfterTheContainersOfTheOldOneAreGone) {
  runtime.SetBehaviour("main", {.ignores_term = true});
  Apply("1");
  Apply("2");
  ASSERT_EQ(Starts(), 1);
  DeleteOnlyPod();  // with a grace of 30 s
  loop.Advance(seconds(29));
  EXPECT_EQ(Starts(), 1);
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  loop.Advance(seconds(3));
  EXPECT_EQ(Starts(), 2);
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(api.stored, SizeIs(1));
  std::vector<std::string> order;
  for (const testing::CallRecord& call : runtime.calls()) {
    if (call.method == "StopContainer" || call.method == "RunPodSandbox") order.push_back(call.method);
  }
  EXPECT_THAT(order, ElementsAre("RunPodSandbox", "StopContainer", "RunPodSandbox"));
}

// RO-05: also where the object is gone before the containers.
TEST_F(PodSyncUpdateTest, APodDeletedByForceIsWaitedForToo) {
  runtime.SetBehaviour("main", {.ignores_term = true});
  Apply("1");
  Apply("2");
  const std::string name = OnlyPod().metadata().name();
  api.Remove(name);
  loop.Advance(seconds(25));
  EXPECT_EQ(Starts(), 1);
  EXPECT_EQ(WaitingFor("a"), "the old pod to be gone");
  loop.Advance(seconds(10));
  EXPECT_EQ(Starts(), 2);
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// RO-14
TEST_F(PodSyncUpdateTest, AContainerThatCrashesDoesNotHoldUpTheTemplateThatRepairsIt) {
  runtime.SetBehaviour("main", {.exits_after = seconds(1), .exit_code = 1});
  Apply("1");
  loop.Advance(minutes(8));  // the back-off is longer than a minute by now
  runtime.SetBehaviour("main", {});
  Apply("2");
  DeleteOnlyPod();
  loop.Advance(seconds(5));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_TRUE(decide::IsReady(OnlyPod().status()));
}

// RO-14
TEST_F(PodSyncUpdateTest, ANewTemplateClearsTheBackOffOfFailedPods) {
  Apply("1");
  const auto fail = [this] {
    corev1::Pod failed = OnlyPod();
    failed.mutable_status()->set_phase("Failed");
    failed.mutable_status()->set_reason("Evicted");
    api.Store(failed);
    loop.Advance(seconds(10));
  };
  for (int i = 0; i < 8; ++i) {
    fail();
    loop.Advance(minutes(2));
  }
  fail();
  EXPECT_THAT(WaitingFor("a"), HasSubstr("the back-off after"));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  api.sets.Put(Version("2").object);
  loop.Advance(seconds(5));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// RO-14: what the server refuses is not the next template's fault.
TEST_F(PodSyncUpdateTest, ANewTemplateIsTriedAtOnceWhereTheServerRefusedTheOneBefore) {
  api.admit = [](corev1::Pod& pod) -> std::optional<kube::HttpResponse> {
    if (pod.spec().containers(0).env(0).value() == "2") return std::nullopt;
    return testing::StatusResponse(403, "Forbidden", "version 1 is not allowed");
  };
  Apply("1");
  loop.Advance(std::chrono::hours(1));
  EXPECT_THAT(WaitingFor("a"), HasSubstr("version 1 is not allowed"));
  Apply("2");
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(WaitingFor("a"), "");
}

// ---- Side by side

// RO-04
TEST_F(PodSyncUpdateTest, TheOldPodGoesWhenTheNewOneIsAvailableThoughNothingElseHappens) {
  min_ready_seconds = 10;
  RunOldAndNew();
  EXPECT_THAT(RunningContainers(), IsSupersetOf(old_containers));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
  ASSERT_TRUE(decide::IsReady(NewPod().status()));
  loop.Advance(seconds(7));
  EXPECT_FALSE(OldIsAskedToEnd());
  loop.Advance(seconds(2));
  EXPECT_THAT(Events("SuccessfulDelete"),
              ElementsAre("Deleted pod: " + old_name + " (the pod of the new template is available)"));
  loop.Advance(minutes(1));
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(Starts(), 2);
  EXPECT_EQ(api.Count("POST"), 2);
}

// RO-03
TEST_F(PodSyncUpdateTest, TheWaitIsMeasuredByAClockThatNobodySets) {
  for (const Nanoseconds jump : {Nanoseconds(minutes(10)), Nanoseconds(-minutes(10))}) {
    min_ready_seconds = 30;
    RunOldAndNew();
    loop.timeline().JumpWall(jump);
    life->sync.Notify();
    loop.Advance(seconds(25));
    EXPECT_FALSE(OldIsAskedToEnd());
    loop.Advance(minutes(1));
    EXPECT_THAT(api.stored, SizeIs(1));
    api.sets.Remove({"default", "a"});
    loop.Advance(minutes(1));
    ASSERT_THAT(api.stored, IsEmpty());
  }
}

// RO-08
TEST_F(PodSyncUpdateTest, TheOldPodStaysWhileTheNewOneIsNotReadyAlsoOverRestartsOfTheAgent) {
  std::set<std::string> ready;  // containers
  runtime.SetExec([&ready](const testing::v1::ExecSyncRequest& request) {
    return testing::ExecAnswer{.exit_code = ready.contains(request.container_id()) ? 0 : 1};
  });
  surges = true;
  auto set = Version("1");
  Probe(Main(set));
  Put(set.object);
  old_containers = RunningContainers();
  ready.insert(old_containers.begin(), old_containers.end());
  loop.Advance(seconds(5));
  old_name = OnlyPod().metadata().name();
  set = Version("2");
  Probe(Main(set));
  Put(set.object);
  Mark(old_name);
  for (int i = 0; i < 3; ++i) {
    loop.Advance(minutes(10));
    EXPECT_FALSE(OldIsAskedToEnd());
    EXPECT_THAT(RunningContainers(), IsSupersetOf(old_containers));
    EXPECT_THAT(RunningContainers(), SizeIs(2));
    RestartAgent();
  }
  EXPECT_EQ(Starts(), 2);
  for (const std::string& id : RunningContainers()) ready.insert(id);
  loop.Advance(minutes(1));
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_NE(RunningContainers(), old_containers);
}

// Semantics of upstream's manage, 5.2c
TEST_F(PodSyncUpdateTest, AnOldPodThatIsNotReadyAnyMoreGoes) {
  bool ready = true;
  runtime.SetExec([&ready](const auto&) { return testing::ExecAnswer{.exit_code = ready ? 0 : 1}; });
  min_ready_seconds = 600;
  surges = true;
  auto set = Version("1");
  Probe(Main(set));
  Put(set.object);
  old_name = OnlyPod().metadata().name();
  Apply("2");
  Mark(old_name);
  loop.Advance(seconds(5));
  EXPECT_FALSE(OldIsAskedToEnd());
  ready = false;
  loop.Advance(seconds(4));
  EXPECT_THAT(Events("SuccessfulDelete"), ElementsAre(HasSubstr("its template changed and it is not ready")));
}

TEST_F(PodSyncUpdateTest, NothingIsMadeBesideAPodThatIsNotMarkedOrMarkedForAnotherTemplate) {
  surges = true;
  Apply("1");
  const std::string name = OnlyPod().metadata().name();
  Apply("2");
  loop.Advance(minutes(5));
  EXPECT_THAT(api.stored, SizeIs(1));
  Mark(name);
  surges = false;
  api.sets.Put(Version("2").object);  // before the mark is seen
  loop.Advance(minutes(5));
  EXPECT_THAT(api.stored, SizeIs(1)) << "the set does not surge any more";
  surges = true;
  Apply("3");
  loop.Advance(minutes(5));
  EXPECT_THAT(api.stored, SizeIs(1)) << "the mark is about version 2";
  EXPECT_EQ(Starts(), 1);
}

TEST_F(PodSyncUpdateTest, ANewTemplateWhileBothRunTakesTheNewPodBackAndTheOldOneRunsOn) {
  min_ready_seconds = 600;
  RunOldAndNew();
  const std::string second = NewPod().metadata().name();
  Apply("3");
  loop.Advance(minutes(1));
  EXPECT_EQ(OnlyPod().metadata().name(), old_name);
  EXPECT_EQ(RunningContainers(), old_containers);
  Mark(old_name);
  loop.Advance(seconds(5));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
  EXPECT_NE(NewPod().metadata().name(), second);
}

TEST_F(PodSyncUpdateTest, AnAgentThatStartsAgainGoesOnWhereItWas) {
  min_ready_seconds = 20;
  surges = true;
  Apply("1");
  old_name = OnlyPod().metadata().name();
  old_containers = RunningContainers();
  Apply("2");
  const std::string hash = HashNow("a");
  RestartAgent([&] { Mark(old_name, hash); });  // marked while nobody looked
  loop.Advance(seconds(3));
  ASSERT_THAT(RunningContainers(), SizeIs(2));
  const auto both = RunningContainers();
  RestartAgent();
  loop.Advance(seconds(5));
  EXPECT_EQ(RunningContainers(), both);
  EXPECT_FALSE(OldIsAskedToEnd());
  loop.Advance(seconds(60));
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(both, IsSupersetOf(RunningContainers()));
  EXPECT_NE(RunningContainers(), old_containers);
  EXPECT_EQ(Starts(), 2);
}

TEST_F(PodSyncUpdateTest, AvailableWhileNoAgentRanIsAvailableToTheNextOne) {
  min_ready_seconds = 60;
  RunOldAndNew();
  RestartAgent([this] { loop.Advance(minutes(2)); });
  loop.Advance(seconds(5));
  EXPECT_THAT(Events("SuccessfulDelete"), ElementsAre(HasSubstr("the pod of the new template is available")));
}

// Neither is ready then, and the old one has nothing to go on with.
TEST_F(PodSyncUpdateTest, ABootEndsTheSurge) {
  min_ready_seconds = 120;
  RunOldAndNew();
  Reboot();
  loop.Advance(minutes(1));
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_FALSE(api.stored.contains(old_name));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

TEST_F(PodSyncUpdateTest, WithoutTheServerNothingChanges) {
  min_ready_seconds = 10;
  RunOldAndNew();
  const auto both = RunningContainers();
  LoseServer();
  loop.Advance(minutes(5));
  EXPECT_EQ(RunningContainers(), both);
  RestartAgent();
  loop.Advance(minutes(5));
  EXPECT_EQ(RunningContainers(), both);
  api.down = false;
  loop.Advance(minutes(2));
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(Starts(), 2);
}

TEST_F(PodSyncUpdateTest, BothMustFitOnTheNode) {
  cpu = "3";  // of 4
  RunOldAndNew();
  loop.Advance(minutes(10));
  EXPECT_EQ(RunningContainers(), old_containers);
  EXPECT_THAT(WaitingFor("a"), HasSubstr("needs cpu 3, free 1 of 4"));
  EXPECT_FALSE(OldIsAskedToEnd());
  SetAllocatable("8");
  NodeChanged();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), old_containers);
}

TEST_F(PodSyncUpdateTest, AMoreImportantTemplateDoesNotTakeTheRoomOfItsOwnPredecessor) {
  cpu = "3";  // of 4
  surges = true;
  Apply("1");
  old_name = OnlyPod().metadata().name();
  old_containers = RunningContainers();
  auto set = Version("2");
  set.object.mutable_spec()->mutable_template_()->mutable_spec()->set_priority(1000);
  Put(set.object);
  Mark(old_name);
  loop.Advance(minutes(10));
  EXPECT_EQ(RunningContainers(), old_containers);
  EXPECT_FALSE(OldIsAskedToEnd());
}

// RO-06
TEST_F(PodSyncUpdateTest, NothingStartsBesideAPodWhosePortOfTheHostItNeeds) {
  surges = true;
  const auto on_port = [this](const std::string& version) {
    auto set = Version(version);
    Main(set).add_ports()->set_containerport(9100);  // on the host's network: the host's
    model::SetDefaults(set.object);
    return set.object;
  };
  Put(on_port("1"));
  old_name = OnlyPod().metadata().name();
  old_containers = RunningContainers();
  Put(on_port("2"));
  Mark(old_name);
  loop.Advance(minutes(10));
  EXPECT_EQ(RunningContainers(), old_containers);
  EXPECT_THAT(WaitingFor("a"), HasSubstr("port 9100"));
  EXPECT_EQ(api.Count("POST"), 1);
  // Whoever made an object all the same: it does not start.
  api.Store(decide::MakeDaemonPod(on_port("2"), kNode, 7));
  loop.Advance(minutes(10));
  EXPECT_EQ(RunningContainers(), old_containers);
  DeletePod(old_name);
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(api.stored, SizeIs(1));
}

// ---- Labels

// RO-18
TEST_F(PodSyncUpdateTest, ALabelThatTheContainersBelieIsPutRight) {
  Apply("1");
  const std::string hash = OnlyPod().metadata().labels().at(decide::kRevisionHashLabel);
  old_containers = RunningContainers();
  Apply("2");
  corev1::Pod pod = OnlyPod();
  (*pod.mutable_metadata()->mutable_labels())[decide::kRevisionHashLabel] = HashNow("a");
  api.Store(pod);
  loop.Advance(seconds(1));
  EXPECT_THAT(api.patches, ElementsAre(HasSubstr(R"("labels":{"controller-revision-hash":")" + hash + R"("}})")));
  EXPECT_THAT(Events("TemplateMismatch"), SizeIs(1));
  EXPECT_EQ(RunningContainers(), old_containers) << "the coordinator says when it goes";
  RestartAgent();
  EXPECT_THAT(api.patches, SizeIs(2)) << "also by the next agent, from what the sandbox says";
}

TEST_F(PodSyncUpdateTest, ALabelThatIsTrueIsLeftAlone) {
  Apply("1");
  Apply("2");
  DeleteOnlyPod();
  loop.Advance(minutes(1));
  Apply("1");
  RestartAgent();
  loop.Advance(minutes(10));
  EXPECT_THAT(api.patches, IsEmpty());
}

}  // namespace
}  // namespace daemonsetd::cluster
