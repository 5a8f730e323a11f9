// The merge carried out: objects first, then containers; adoption, deletion, and what happens without the server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_status.h"
#include "tests/unit/cluster/pod_sync_fixture.h"

namespace daemonsetd::cluster {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(PodSyncTest, ADaemonSetGetsItsPodObjectFirstAndThenItsContainers) {
  Put(MakeDaemonSet("a").object);
  const corev1::Pod& pod = OnlyPod();
  EXPECT_EQ(pod.spec().nodename(), kNode);
  EXPECT_EQ(pod.metadata().annotations().at(decide::kSequenceAnnotation), "0");
  EXPECT_EQ(pod.metadata().ownerreferences(0).uid(), "uid-of-a");
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(pod.status().phase(), "Running");
  EXPECT_TRUE(decide::IsReady(pod.status()));
  EXPECT_EQ(engine->workers.all().begin()->first, pod.metadata().uid()) << "it runs under the object's UID";
  EXPECT_THAT(EventReasons(), Contains("SuccessfulCreate"));
}

TEST_F(PodSyncTest, AnIdleNodeAsksForNothing) {
  Put(MakeDaemonSet("a").object);
  loop.Advance(seconds(10));
  api.calls.clear();
  loop.Advance(minutes(3));
  EXPECT_THAT(api.calls, IsEmpty());
}

// The answer to the POST was lost: the next one meets the pod that it made.
TEST_F(PodSyncTest, APostWithoutAnswerMakesNoSecondPod) {
  api.loses_answers = true;
  api.pods.Silence(true);
  Put(MakeDaemonSet("a").object);
  api.loses_answers = false;
  loop.Advance(minutes(1));
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_GE(api.Count("POST"), 2);
}

TEST_F(PodSyncTest, ANameThatIsTakenIsPassedBy) {
  const appsv1::DaemonSet set = MakeDaemonSet("a").object;
  corev1::Pod other = decide::MakeDaemonPod(set, "node-b", 0);
  other.mutable_metadata()->set_name(decide::DaemonPodName(set, kNode, 0));
  other.mutable_metadata()->clear_uid();
  api.pods.Silence(true);  // it is another node's: this node does not see it
  api.Store(other);
  Put(set);
  EXPECT_THAT(api.stored, SizeIs(2));
  EXPECT_TRUE(api.stored.contains(decide::DaemonPodName(set, kNode, 1)));
}

TEST_F(PodSyncTest, ARestartOfTheAgentAdoptsAndWritesNothing) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  api.calls.clear();
  RestartAgent();
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_THAT(engine->workers.all(), SizeIs(1));
  EXPECT_THAT(api.calls, IsEmpty());
}

TEST_F(PodSyncTest, ADeletedPodStopsIsRemovedAndReplaced) {
  Put(MakeDaemonSet("a").object);
  const std::string first = OnlyPod().metadata().name();
  api.AskToEnd(OnlyPod());
  loop.Advance(seconds(60));
  EXPECT_NE(OnlyPod().metadata().name(), first);
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(engine->workers.all(), SizeIs(1));
  EXPECT_THAT(records.pods, SizeIs(1));
}

TEST_F(PodSyncTest, APodDeletedByForceStopsHereAndIsReplaced) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  const std::string first = OnlyPod().metadata().name();
  api.Remove(first);
  loop.Advance(seconds(60));
  EXPECT_NE(OnlyPod().metadata().name(), first);
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
}

TEST_F(PodSyncTest, ADaemonSetThatIsGoneTakesItsPodAlong) {
  Put(MakeDaemonSet("a").object);
  api.sets.Remove({"default", "a"});
  loop.Advance(seconds(60));
  EXPECT_THAT(api.stored, IsEmpty());
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(engine->workers.all(), IsEmpty());
  EXPECT_THAT(records.pods, IsEmpty());
}

TEST_F(PodSyncTest, APodWithoutRoomSaysSoAndStartsWhenThereIsSome) {
  SetAllocatable("1");
  auto set = MakeDaemonSet("a");
  (*Main(set).mutable_resources()->mutable_requests())["cpu"].set_string("2");
  Put(set.object);
  EXPECT_THAT(RunningContainers(), IsEmpty());
  ASSERT_EQ(OnlyPod().status().conditions_size(), 1);
  EXPECT_EQ(OnlyPod().status().conditions(0).reason(), "Unschedulable");
  EXPECT_THAT(OnlyPod().status().conditions(0).message(), HasSubstr("needs cpu 2"));
  EXPECT_THAT(EventReasons(), Contains("FailedScheduling"));
  ASSERT_THAT(life->sync.Workloads(), SizeIs(1));
  EXPECT_THAT(life->sync.Workloads()[0]->decision.waiting_for, HasSubstr("needs cpu 2"));
  SetAllocatable("4");
  life->sync.Notify();
  loop.Advance(seconds(2));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

TEST_F(PodSyncTest, AMoreImportantPodTakesTheRoomOfALessImportantOne) {
  SetAllocatable("3");
  auto low = MakeDaemonSet("low");
  (*Main(low).mutable_resources()->mutable_requests())["cpu"].set_string("2");
  Put(low.object);
  auto high = MakeDaemonSet("high");
  (*Main(high).mutable_resources()->mutable_requests())["cpu"].set_string("2");
  high.object.mutable_spec()->mutable_template_()->mutable_spec()->set_priority(1000);
  Put(high.object);
  loop.Advance(seconds(60));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  const auto worker = std::find_if(engine->workers.all().begin(), engine->workers.all().end(),
                                   [](const auto& entry) { return !entry.second->terminating(); });
  ASSERT_NE(worker, engine->workers.all().end());
  EXPECT_EQ(worker->second->identity().owner_name, "high");
  EXPECT_THAT(EventReasons(), Contains("Preempted"));
}

TEST_F(PodSyncTest, WithoutTheServerARestartedAgentGoesOnAndAStoppedPodComesBack) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  LoseServer();
  RestartAgent();
  loop.Advance(seconds(30));
  EXPECT_EQ(RunningContainers(), before);
  ASSERT_TRUE(life->sync.RestartDaemonSet("default", "a"));
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
  EXPECT_THAT(api.stored, SizeIs(1));

  const auto offline = RunningContainers();
  api.down = false;
  loop.Advance(minutes(2));
  EXPECT_EQ(RunningContainers(), offline) << "the server's return restarts nothing";
  EXPECT_THAT(api.stored, SizeIs(1));
}

// Known from before, and no Pod object yet: it starts under a UID of its own and gets its object later.
TEST_F(PodSyncTest, APodStartedWithoutTheServerIsWrittenAfterwardsAndNotTouched) {
  engine->node.mutable_spec()->add_taints()->set_key("busy");
  engine->node.mutable_spec()->mutable_taints(0)->set_effect("NoSchedule");
  Put(MakeDaemonSet("a").object);
  EXPECT_THAT(api.stored, IsEmpty());
  cache.Put(MakeDaemonSet("a").object, loop.timeline().Read().wall);
  LoseServer();
  engine->node.mutable_spec()->clear_taints();
  RestartAgent();
  loop.Advance(seconds(30));
  const auto offline = RunningContainers();
  ASSERT_THAT(offline, SizeIs(1));
  api.down = false;
  loop.Advance(minutes(2));
  EXPECT_EQ(RunningContainers(), offline);
  EXPECT_EQ(OnlyPod().status().phase(), "Running");
  EXPECT_EQ(engine->workers.all().begin()->second->identity().object_uid, OnlyPod().metadata().uid());
}

// The checkpoint and the object are lost: what only the runtime knows gets an object and a worker again.
TEST_F(PodSyncTest, ContainersThatOnlyTheRuntimeKnowsGetAnObjectAgain) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  const std::string name = OnlyPod().metadata().name();
  End();
  api.Remove(name);
  records.pods.clear();
  records.workloads.clear();
  cache.Remove<corev1::Pod>("default", name);
  Restart();
  SetAllocatable("4");
  Begin();
  loop.Advance(minutes(1));
  EXPECT_EQ(OnlyPod().metadata().name(), name);
  EXPECT_EQ(RunningContainers(), before);
  ASSERT_THAT(engine->workers.all(), SizeIs(1));
  EXPECT_EQ(engine->workers.all().begin()->second->identity().object_uid, OnlyPod().metadata().uid());
}

TEST_F(PodSyncTest, NothingRunsUnderANameThatSomebodyElseHolds) {
  End();
  life = std::make_unique<Life>(*this);
  PodSync refused(
      engine->services, engine->workers, life->view, client,
      [this] { return NodeState{.node = &engine->node, .refused = true}; }, {.node_name = kNode}, [] {});
  life->view_run = loop.Start(life->view.Run());
  life->sync_run = loop.Start(refused.Run());
  api.sets.Put(MakeDaemonSet("a").object);
  for (int i = 0; i < 5; ++i) {
    refused.Notify();
    loop.Advance(seconds(5));
  }
  EXPECT_THAT(api.calls, IsEmpty());
  EXPECT_THAT(RunningContainers(), IsEmpty());
  loop.Cancel(life->sync_run);
  loop.Cancel(life->view_run);
  Begin();
}

TEST_F(PodSyncTest, APodThatFailedIsReplaced) {
  Put(MakeDaemonSet("a").object);
  corev1::Pod failed = OnlyPod();
  failed.mutable_status()->set_phase("Failed");
  failed.mutable_status()->set_reason("Evicted");
  const std::string first = failed.metadata().name();
  api.Store(failed);
  loop.Advance(minutes(1));
  EXPECT_NE(OnlyPod().metadata().name(), first);
  EXPECT_THAT(EventReasons(), Contains("FailedDaemonPod"));
}

}  // namespace
}  // namespace daemonsetd::cluster
