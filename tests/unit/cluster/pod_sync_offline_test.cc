// Boots without the API server, and what it says of what was started meanwhile when it is back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/unit/cluster/pod_sync_fixture.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::hours;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using PodSyncOfflineTest = PodSyncTest;

// OF-03
TEST_F(PodSyncOfflineTest, AMonthWithoutTheServerAndTenBootsLeadToTheSamePods) {
  Put(MakeDaemonSet("a").object);
  Put(MakeDaemonSet("b").object);
  ASSERT_THAT(RunningContainers(), SizeIs(2));
  LoseServer();
  for (int boot = 0; boot < 10; ++boot) {
    SCOPED_TRACE(boot);
    Reboot([this] { loop.timeline().JumpWall(hours(72)); });
    loop.Advance(minutes(1));
    EXPECT_THAT(RunningContainers(), SizeIs(2));
    EXPECT_THAT(engine->workers.all(), SizeIs(2));
  }
  const auto offline = RunningContainers();
  std::map<std::string, std::string> uids;
  for (const auto& [name, pod] : api.stored) uids[name] = pod.metadata().uid();
  api.down = false;
  loop.Advance(minutes(6));
  EXPECT_EQ(RunningContainers(), offline);
  ASSERT_THAT(api.stored, SizeIs(2));
  for (const auto& [name, uid] : uids) EXPECT_EQ(api.stored.at(name).metadata().uid(), uid);
}

// OF-05, OF-07: a server that takes connections and never answers holds nobody up longer than one that refuses them.
TEST_F(PodSyncOfflineTest, TwentyPodsStartRightAfterTheWaitForTheServer) {
  SetAllocatable("40");
  for (int i = 0; i < 20; ++i) api.sets.Put(MakeDaemonSet(fmt::format("a{}", i)).object);
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(20));
  for (bool* trouble : {&api.down, &api.silent}) {
    *trouble = true;
    api.pods.BreakStreams();
    api.sets.BreakStreams();
    MonoTime booted;
    Reboot([&] {
      booted = loop.timeline().mono();
      runtime.ClearCalls();
    });
    loop.Advance(seconds(15));
    EXPECT_THAT(RunningContainers(), SizeIs(20));
    for (const auto& call : runtime.calls()) {
      if (call.method != "StartContainer") continue;
      EXPECT_GE(call.at - booted, seconds(5)) << "the server is given its time";
      EXPECT_LT(call.at - booted, seconds(6));
    }
    EXPECT_EQ(runtime.Count("StartContainer"), 20);
    *trouble = false;
    loop.Advance(minutes(6));
    EXPECT_EQ(runtime.Count("StartContainer"), 20) << "and its return starts nothing";
    EXPECT_THAT(api.stored, SizeIs(20));
  }
}

// OF-13
TEST_F(PodSyncOfflineTest, WhatWasDeletedMeanwhileDoesNotStartWhereTheServerSaysSo) {
  Put(MakeDaemonSet("a").object);
  Reboot([this] {
    runtime.ClearCalls();
    api.sets.Remove({"default", "a"});
  });
  loop.Advance(minutes(1));
  EXPECT_EQ(runtime.Count("StartContainer"), 0);
  EXPECT_THAT(api.stored, IsEmpty());
  EXPECT_THAT(engine->workers.all(), IsEmpty());
}

// OF-13
TEST_F(PodSyncOfflineTest, WhatWasStartedFromTheCheckpointStopsOnceTheServerIsHeard) {
  Put(MakeDaemonSet("a").object);
  Put(MakeDaemonSet("b").object);
  LoseServer();
  Reboot([this] { api.sets.Remove({"default", "a"}); });
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(2));
  runtime.ClearCalls();
  api.down = false;
  loop.Advance(minutes(6));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(runtime.Count("StopContainer"), 1) << "gracefully, and no other";
  EXPECT_EQ(OnlyPod().metadata().ownerreferences(0).name(), "b");
}

// OF-13: the server is there, and takes a while to answer.
TEST_F(PodSyncOfflineTest, NothingStartsBeforeTheServerHadItsTimeToSayWhatIsGone) {
  Put(MakeDaemonSet("a").object);
  Put(MakeDaemonSet("b").object);
  LoseServer();
  Reboot([this] {
    runtime.ClearCalls();
    api.sets.Remove({"default", "a"});
  });
  EXPECT_EQ(runtime.Count("StartContainer"), 0);
  api.down = false;
  loop.Advance(minutes(1));
  EXPECT_EQ(runtime.Count("StartContainer"), 1);
  EXPECT_EQ(OnlyPod().metadata().ownerreferences(0).name(), "b");
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// OF-01: its object is still to be made.
TEST_F(PodSyncOfflineTest, APodThatWasStartedWithoutTheServerComesBackWithoutIt) {
  engine->node.mutable_spec()->add_taints()->set_key("busy");
  engine->node.mutable_spec()->mutable_taints(0)->set_effect("NoSchedule");
  Put(MakeDaemonSet("a").object);
  cache.Put(MakeDaemonSet("a").object, loop.timeline().Read().wall);
  LoseServer();
  engine->node.mutable_spec()->clear_taints();
  RestartAgent();
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  RestartAgent();
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(engine->workers.all(), SizeIs(1)) << "somebody looks after it";
  runtime.ExitContainer(RunningContainers()[0], 1);
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1)) << "it is restarted";
  Reboot();
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1)) << "it comes back from a reboot";
  const auto offline = RunningContainers();
  api.down = false;
  loop.Advance(minutes(6));
  EXPECT_EQ(RunningContainers(), offline);
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_EQ(engine->workers.all().begin()->second->identity().object_uid, OnlyPod().metadata().uid());
}

TEST_F(PodSyncOfflineTest, AnObjectThatIsMadeLaterLeavesTheOverheadToTheServer) {
  auto set = MakeDaemonSet("a").object;
  set.mutable_spec()->mutable_template_()->mutable_spec()->set_runtimeclassname("sandboxed");
  cache.Put(set, loop.timeline().Read().wall);
  LoseServer();
  (*engine->node.mutable_status()->mutable_allocatable())["memory"].set_string("1Gi");
  RestartAgent();
  auto& classes = engine->services.settings.runtime_classes;
  classes["sandboxed"] = {.handler = "", .overhead = {}};
  classes["sandboxed"].overhead["memory"] = model::Quantity::Parse("10Mi").value();
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_TRUE(engine->workers.all().begin()->second->pod().spec().overhead().contains("memory"));
  api.sets.Put(set);
  api.down = false;
  loop.Advance(minutes(6));
  EXPECT_EQ(OnlyPod().spec().runtimeclassname(), "sandboxed");
  EXPECT_TRUE(OnlyPod().spec().overhead().empty()) << "admission refuses what is not the class's own";
}

}  // namespace
}  // namespace daemonsetd::cluster
