// Where the pods of the API server's DaemonSets go: labels, taints, room and ports of the node, and an agent that
// starts again among them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/daemon_pod.h"
#include "tests/unit/cluster/pod_sync_fixture.h"

namespace daemonsetd::cluster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PodSyncPlacementTest : public PodSyncTest {
 protected:
  void SetTaint(const std::string& effect) {
    engine->node.mutable_spec()->clear_taints();
    if (effect.empty()) return NodeChanged();
    corev1::Taint& taint = *engine->node.mutable_spec()->add_taints();
    taint.set_key("dedicated");
    taint.set_value("db");
    taint.set_effect(effect);
    NodeChanged();
  }
  void SetLabel(const std::string& value) { (*engine->node.mutable_metadata()->mutable_labels())["disk"] = value; }

  appsv1::DaemonSet OnSsd(const std::string& name) {
    appsv1::DaemonSet set = MakeDaemonSet(name).object;
    (*set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
    return set;
  }
  appsv1::DaemonSet Needing(const std::string& name, const std::string& cpu) {
    auto set = MakeDaemonSet(name);
    (*Main(set).mutable_resources()->mutable_requests())["cpu"].set_string(cpu);
    return set.object;
  }
  appsv1::DaemonSet OnPort(const std::string& name, int port) {
    auto set = MakeDaemonSet(name);
    corev1::ContainerPort& wanted = *Main(set).add_ports();
    wanted.set_containerport(port);
    wanted.set_hostport(port);
    wanted.set_protocol("TCP");
    return set.object;
  }
  void RemoveSet(const std::string& name) { api.sets.Remove({"default", name}); }
};

// PL-01
TEST_F(PodSyncPlacementTest, OnlyATaintOfNoExecuteStopsAPodAndTheEventSaysSo) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  SetTaint("NoSchedule");
  loop.Advance(minutes(5));
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_EQ(runtime.Count("StopContainer"), 0);

  api.AskToEnd(OnlyPod());
  loop.Advance(minutes(1));
  EXPECT_THAT(api.stored, IsEmpty()) << "no start where it may not be placed";
  EXPECT_THAT(WaitingFor("a"), HasSubstr("taint dedicated=db:NoSchedule is not tolerated"));

  SetTaint("");
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  const std::string name = OnlyPod().metadata().name();
  SetTaint("NoExecute");
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(Events("SuccessfulDelete"),
              Contains("Deleted pod: " + name + " (taint dedicated=db:NoExecute is not tolerated)"));
}

// PL-06
TEST_F(PodSyncPlacementTest, ALabelThatGoesAndComesBackIsOneStopAndOneStart) {
  SetLabel("ssd");
  Put(OnSsd("a"));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  const std::string name = OnlyPod().metadata().name();
  SetLabel("hdd");
  NodeChanged();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_EQ(runtime.Count("StopContainer"), 1);
  EXPECT_THAT(Events("SuccessfulDelete"),
              ElementsAre("Deleted pod: " + name + " (nodeSelector disk=ssd: the node has disk=hdd)"));
  SetLabel("ssd");
  NodeChanged();
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(runtime.Count("CreateContainer"), 2);
}

// PL-06
TEST_F(PodSyncPlacementTest, ALabelThatFlickersIsAtMostOneStopAndOneStart) {
  SetLabel("ssd");
  Put(OnSsd("a"));
  for (int i = 0; i < 20; ++i) {
    SetLabel(i % 2 == 0 ? "hdd" : "ssd");
    life->sync.Notify();
    loop.Advance(Milliseconds(100));
  }
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_LE(runtime.Count("StopContainer"), 1);
  EXPECT_LE(runtime.Count("CreateContainer"), 2);
}

// PL-08
TEST_F(PodSyncPlacementTest, NothingIsJudgedByANodeThatIsNotKnownAndNoVerdictIsFinal) {
  node_known = false;
  Put(OnSsd("a"));
  loop.Advance(seconds(30));
  EXPECT_THAT(api.stored, IsEmpty());
  EXPECT_EQ(WaitingFor("a"), "the Node object");
  node_known = true;  // and has no labels yet
  NodeChanged();
  EXPECT_THAT(api.stored, IsEmpty());
  EXPECT_EQ(WaitingFor("a"), "nodeSelector disk=ssd: the node has no label disk");
  SetLabel("ssd");
  NodeChanged();
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(OnlyPod().status().phase(), "Running");
}

// PL-09
TEST_F(PodSyncPlacementTest, PodsThatEndedTakeNoRoomAlsoAfterARestart) {
  SetAllocatable("2");
  for (int i = 0; i < 4; ++i) {
    corev1::Pod ended = decide::MakeDaemonPod(Needing("old-" + std::to_string(i), "1"), kNode, 0);
    ended.mutable_status()->set_phase("Succeeded");
    cache.Put(ended, loop.timeline().Read().wall);
    api.Store(ended);
  }
  Put(Needing("a", "2"));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  RestartAgent();
  api.AskToEnd(engine->workers.all().begin()->second->pod());
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1)) << "there is room for the next one too";
}

// PL-10
TEST_F(PodSyncPlacementTest, ARunningPodIsNotJudgedAgainByAnAgentThatStarts) {
  SetAllocatable("2");
  appsv1::DaemonSet set = Needing("a", "1");
  corev1::Container& first = *set.mutable_spec()->mutable_template_()->mutable_spec()->add_initcontainers();
  first.set_name("first");
  first.set_image(kImage);
  (*first.mutable_resources()->mutable_requests())["cpu"].set_string("2");
  runtime.SetBehaviour("first", {.exits_after = seconds(1)});
  Put(set);
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));
  for (const char* cpu : {"2", "1"}) {  // just enough for the init container, and less than what runs
    SetAllocatable(cpu);
    RestartAgent();
    loop.Advance(minutes(5));
    EXPECT_EQ(RunningContainers(), before);
  }
  EXPECT_EQ(runtime.Count("StopContainer"), 0);
}

// PL-13: as a namespace-wide node selector is added.
TEST_F(PodSyncPlacementTest, APodThatAdmissionMadeAnotherIsJudgedAsItIsAndNotMadeAgain) {
  api.admit = [](corev1::Pod& pod) -> std::optional<kube::HttpResponse> {
    (*pod.mutable_spec()->mutable_nodeselector())["tier"] = "front";
    return std::nullopt;
  };
  Put(MakeDaemonSet("a").object);
  loop.Advance(minutes(10));
  EXPECT_EQ(api.Count("POST"), 1);
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(WaitingFor("a"), HasSubstr("nodeSelector tier=front: the node has no label tier"));
  EXPECT_THAT(Events("FailedScheduling"), ElementsAre(HasSubstr("nodeSelector tier=front")));
  (*engine->node.mutable_metadata()->mutable_labels())["tier"] = "front";
  NodeChanged();
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// PL-14
TEST_F(PodSyncPlacementTest, APodStartsWhenAnotherMakesRoom) {
  SetAllocatable("3");
  Put(Needing("a", "2"));
  Put(Needing("b", "2"));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(WaitingFor("b"), HasSubstr("needs cpu 2, free 1 of 3"));
  loop.Advance(minutes(10));
  RemoveSet("a");
  loop.Advance(seconds(2));
  EXPECT_EQ(WaitingFor("b"), "");
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// PL-16
TEST_F(PodSyncPlacementTest, APodIsNoRivalOfItselfNorOfItsSuccessor) {
  Put(OnPort("a", 9100));
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));
  for (int i = 0; i < 50; ++i) {
    (*engine->node.mutable_metadata()->mutable_annotations())["touched"] = std::to_string(i);
    NodeChanged();
  }
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_EQ(runtime.Count("StopContainer"), 0);
  api.AskToEnd(OnlyPod());
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
}

// PL-17
TEST_F(PodSyncPlacementTest, AHostPortThatIsTakenIsWaitedFor) {
  Put(OnPort("a", 9100));
  Put(OnPort("b", 9100));
  Put(OnPort("c", 9101));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
  EXPECT_THAT(WaitingFor("b"), HasSubstr("host port 9100/TCP is taken by default/a-"));
  loop.Advance(minutes(10));
  RemoveSet("a");
  loop.Advance(seconds(2));
  EXPECT_EQ(WaitingFor("b"), "");
  EXPECT_THAT(RunningContainers(), SizeIs(2));
}

// A refusal is told, once, and the next try comes ever later.
TEST_F(PodSyncPlacementTest, APodThatTheServerRefusesIsTriedEverMoreSeldom) {
  api.admit = [](corev1::Pod&) { return testing::StatusResponse(403, "Forbidden", "exceeded quota: pods"); };
  Put(MakeDaemonSet("a").object);
  loop.Advance(minutes(10));
  EXPECT_GE(api.Count("POST"), 5);
  EXPECT_LE(api.Count("POST"), 12);
  EXPECT_THAT(WaitingFor("a"), HasSubstr("exceeded quota"));
  EXPECT_THAT(Events("FailedCreate"), ElementsAre(HasSubstr("exceeded quota")));
  api.admit = nullptr;
  loop.Advance(minutes(6));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

}  // namespace
}  // namespace daemonsetd::cluster
