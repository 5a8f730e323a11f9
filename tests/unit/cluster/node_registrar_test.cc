#include "agent/cluster/node_registrar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cluster/node_registrar_fixture.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Mishap = NodeApi::Mishap;

TEST_F(NodeRegistrarTest, RegistersOnAnEmptyServer) {
  runtime.AddImage("registry.example/app:1");
  Start();
  EXPECT_THAT(api.TakeCalls(),
              ElementsAre("WATCH nodes", "GET leases/node-a", "POST leases", "POST nodes", "PUT leases/node-a"));
  EXPECT_TRUE(registrar->observed());
  EXPECT_TRUE(registrar->claimed());
  EXPECT_TRUE(registrar->lease_held());
  EXPECT_EQ(registrar->uid(), "uid-1");
  EXPECT_THAT(registrar->problem(), IsEmpty());
  EXPECT_GT(changes, 0);
  EXPECT_EQ(api.lease()->spec().holderidentity(), decide::LeaseHolder("node-a", "machine-1"));
  EXPECT_EQ(LeaseOwner(), "uid-1");
  EXPECT_EQ(api.Ready(), "True");
  EXPECT_EQ(api.times_not_ready(), 0) << "the runtime was asked first";
  EXPECT_EQ(api.node()->status().images_size(), 1);
  ASSERT_NE(registrar->node(), nullptr);
  EXPECT_EQ(registrar->node()->metadata().uid(), "uid-1");
}

TEST_F(NodeRegistrarTest, TakesTheNotReadyTaintOfANewNodeAwayWhereNobodyElseDoes) {
  Start();
  EXPECT_THAT(Taints(), ElementsAre(kOurTaint, "node.kubernetes.io/not-ready"));
  loop.Advance(seconds(4));
  EXPECT_THAT(Taints(), Contains("node.kubernetes.io/not-ready")) << "a controller may still do it";
  loop.Advance(seconds(2));
  EXPECT_THAT(Taints(), ElementsAre(kOurTaint));
  EXPECT_EQ(registrar->node()->spec().taints_size(), 1);
}

TEST_F(NodeRegistrarTest, ARestartKeepsWhatUsersWrote) {
  Start();
  loop.Advance(seconds(10));
  Stop();
  corev1::Node node = *api.node();
  (*node.mutable_metadata()->mutable_labels())["team"] = "storage";
  node.mutable_spec()->clear_taints();
  node.mutable_spec()->add_taints()->set_key("team/reserved");
  api.PutNode(node);
  api.TakeCalls();
  rack = "r2";
  Start();
  EXPECT_THAT(api.TakeCalls(), ElementsAre("WATCH nodes", "GET leases/node-a", "PUT leases/node-a", "PUT nodes/node-a",
                                           "PUT nodes/node-a/status"));
  EXPECT_EQ(Label("team"), "storage");
  EXPECT_EQ(Label("rack"), "r2");
  EXPECT_THAT(Taints(), ElementsAre("team/reserved"));
  EXPECT_EQ(registrar->uid(), "uid-1");
}

TEST_F(NodeRegistrarTest, AConflictIsDecidedAnewFromAFreshRead) {
  Start();
  loop.Advance(seconds(8));
  api.SilenceWatch(true);  // what the other one wrote is not seen
  corev1::Node node = *api.node();
  (*node.mutable_metadata()->mutable_labels())["team"] = "storage";
  api.PutNode(node);
  api.TakeCalls();
  runtime.SetNetworkReady(false);
  loop.Advance(seconds(3));
  EXPECT_THAT(api.TakeCalls(), ElementsAre("PUT nodes/node-a/status", "GET nodes/node-a", "PUT nodes/node-a/status"));
  EXPECT_EQ(api.Ready(), "False");
  EXPECT_EQ(Label("team"), "storage");
  EXPECT_EQ(decide::ValueOf(registrar->node()->metadata().labels(), "team"), "storage");
  // What the watch brings late is older than what was written since.
  api.SilenceWatch(false);
  loop.Settle();
  EXPECT_TRUE(std::is_sorted(published.begin(), published.end(),
                             [](const auto& a, const auto& b) { return a.second < b.second; }));
}

TEST_F(NodeRegistrarTest, PL18_ADeletedNodeIsRegisteredAnew) {
  Start();
  loop.Advance(seconds(30));
  changes = 0;
  api.DeleteNode();
  loop.Advance(seconds(2));
  ASSERT_TRUE(api.node());
  EXPECT_EQ(api.node()->metadata().uid(), "uid-2");
  EXPECT_EQ(registrar->uid(), "uid-2");
  EXPECT_EQ(LeaseOwner(), "uid-2");
  EXPECT_EQ(api.Ready(), "True");
  EXPECT_GT(changes, 0);
  EXPECT_TRUE(registrar->claimed());
}

TEST_F(NodeRegistrarTest, PL18_ANodeThatSomebodyMadeAnewIsTakenIn) {
  Start();
  loop.Advance(seconds(30));
  api.DeleteNode();
  corev1::Node node;
  (*node.mutable_metadata()->mutable_labels())["team"] = "network";
  api.PutNode(node);
  loop.Advance(seconds(2));
  EXPECT_EQ(registrar->uid(), "uid-2");
  EXPECT_EQ(LeaseOwner(), "uid-2");
  EXPECT_EQ(Label("team"), "network");
  EXPECT_EQ(Label("rack"), "r1");
  EXPECT_EQ(api.Ready(), "True");
  EXPECT_EQ(api.Count("POST nodes"), 1);
  EXPECT_EQ(decide::ValueOf(registrar->node()->metadata().labels(), "team"), "network");
}

TEST_F(NodeRegistrarTest, PL18_ADeletionThatOnlyAWriteNoticesLeadsToANewNode) {
  Start();
  loop.Advance(seconds(30));
  api.SilenceWatch(true);
  api.DeleteNode();
  runtime.SetNetworkReady(false);
  loop.Advance(seconds(15));
  ASSERT_TRUE(api.node());
  EXPECT_EQ(registrar->uid(), "uid-2");
  // The watch tells of the deletion late: it is about the old Node.
  published.clear();
  api.SilenceWatch(false);
  loop.Settle();
  for (const auto& [uid, version] : published) EXPECT_EQ(uid, "uid-2");
  EXPECT_EQ(registrar->uid(), "uid-2");
  EXPECT_EQ(api.Count("POST nodes"), 2);
}

TEST_F(NodeRegistrarTest, PL18_AnAnswerThatComesAfterTheNewsOfADeletionIsNotObeyed) {
  Start();
  loop.Advance(seconds(9));
  api.set_answer_delay(seconds(1));
  runtime.SetNetworkReady(false);
  loop.Advance(Milliseconds(1500));
  ASSERT_EQ(api.Ready(), "False");
  api.DeleteNode();  // the watch tells it before the write is answered
  loop.Settle();
  EXPECT_THAT(registrar->uid(), IsEmpty());
  published.clear();
  loop.Advance(seconds(5));
  for (const auto& [uid, version] : published) EXPECT_NE(uid, "uid-1");
  EXPECT_EQ(registrar->uid(), "uid-2");
  EXPECT_EQ(api.Ready(), "False");
}

TEST_F(NodeRegistrarTest, ANodeThatWasMadeWithoutAnAnswerIsNotMadeTwice) {
  api.Inject("POST nodes", Mishap::kDoneAnyway, Error(ErrorKind::kTimeout, "no answer in time"));
  Start();
  loop.Advance(seconds(3));
  EXPECT_EQ(api.node()->metadata().uid(), "uid-1");
  EXPECT_EQ(registrar->uid(), "uid-1");
  EXPECT_THAT(registrar->problem(), IsEmpty());
}

TEST_F(NodeRegistrarTest, RuntimeTroubleIsWrittenWithinOneRoundAndItsEndToo) {
  Start();
  loop.Advance(seconds(30));
  runtime.SetNetworkReady(false);
  loop.Advance(seconds(10));
  const corev1::NodeCondition ready = Condition(*api.node(), "Ready");
  EXPECT_EQ(ready.status(), "False");
  EXPECT_EQ(ready.reason(), "KubeletNotReady");
  EXPECT_THAT(ready.message(), HasSubstr("container runtime network not ready: NetworkReady=false"));
  EXPECT_EQ(Condition(*registrar->node(), "Ready").status(), "False");
  loop.Advance(seconds(6));
  EXPECT_THAT(Taints(), Contains("node.kubernetes.io/not-ready"));
  runtime.SetNetworkReady(true);
  loop.Advance(seconds(10));
  EXPECT_EQ(api.Ready(), "True");
  loop.Advance(seconds(8));
  EXPECT_THAT(Taints(), ElementsAre(kOurTaint));
}

TEST_F(NodeRegistrarTest, ARuntimeThatIsDownIsToldAfterThePatienceOfAKubelet) {
  runtime.Inject("Status", testing::Fault::Delay(seconds(4)));  // so that no look falls on the moment
  Start();
  loop.Advance(seconds(5));
  runtime.SetDown(true);
  loop.Advance(seconds(28));
  EXPECT_EQ(api.Ready(), "True");
  loop.Advance(seconds(2));
  EXPECT_EQ(api.Ready(), "False");
  EXPECT_EQ(Condition(*api.node(), "Ready").message(), "container runtime is down");
}

TEST_F(NodeRegistrarTest, NothingButTheLeaseIsWrittenWhileNothingChanges) {
  runtime.AddImage("registry.example/app:1");
  Start();
  loop.Advance(seconds(15));
  api.TakeCalls();
  changes = 0;
  const int lists = runtime.Count("ListImages");
  loop.Advance(minutes(4));
  const std::vector<std::string> calls = api.TakeCalls();
  EXPECT_THAT(calls, Each(std::string("PUT leases/node-a")));
  EXPECT_EQ(calls.size(), 12U);
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(runtime.Count("ListImages"), lists);

  loop.Advance(seconds(60));
  EXPECT_THAT(api.TakeCalls(), Contains("PUT nodes/node-a/status")) << "after five minutes it is due";
  EXPECT_EQ(runtime.Count("ListImages"), lists + 1);
  EXPECT_EQ(runtime.Count("ImageFsInfo"), 1);
}

TEST_F(NodeRegistrarTest, AnIdleNodeCostsFourRequestsAMinuteAtMost) {
  Start();
  loop.Advance(seconds(15));
  api.TakeCalls();
  loop.Advance(minutes(30));
  EXPECT_LE(api.TakeCalls().size(), 30U * 7 / 2);
}

TEST_F(NodeRegistrarTest, ST08_ARestartNeverSaysNotReady) {
  Start();
  loop.Advance(seconds(10));
  for (int i = 0; i < 20; ++i) {
    // Slow or silent at first, as a runtime is that starts with the machine.
    runtime.Inject("Status", i % 2 == 0 ? testing::Fault::Hang() : testing::Fault::Delay(seconds(5)));
    Restart();
    loop.Advance(seconds(25));
    EXPECT_TRUE(registrar->claimed());
  }
  EXPECT_EQ(api.times_not_ready(), 0);
  EXPECT_EQ(api.Ready(), "True");
}

TEST_F(NodeRegistrarTest, ST08_ARestartNeverSaysNotReadyWhereTheServerComesLaterThanTheFirstLook) {
  Start();
  loop.Advance(seconds(10));
  Stop();
  api.Inject("WATCH nodes", Mishap::kFails, Error(ErrorKind::kRetry, "connection refused"), 4);
  runtime.Inject("Status", testing::Fault::Hang(), 2);
  Start();
  loop.Advance(seconds(11));
  ASSERT_FALSE(registrar->observed());
  loop.Advance(seconds(8));
  ASSERT_TRUE(registrar->claimed());
  loop.Advance(seconds(40));
  EXPECT_EQ(api.times_not_ready(), 0);
  EXPECT_EQ(api.Ready(), "True");
}

TEST_F(NodeRegistrarTest, ST08_APressureOfAnEarlierLifeIsHeldForItsPeriod) {
  pressure.memory = decide::Amount{.available = 1 << 20, .capacity = 1ULL << 30};
  Start();
  EXPECT_EQ(Condition(*api.node(), "MemoryPressure").status(), "True");
  pressure.memory->available = 1 << 29;
  loop.Advance(seconds(10));
  Restart();
  loop.Advance(minutes(4));
  EXPECT_EQ(Condition(*api.node(), "MemoryPressure").status(), "True");
  EXPECT_THAT(Taints(), Contains("node.kubernetes.io/memory-pressure"));
  loop.Advance(minutes(1) + seconds(10));
  EXPECT_EQ(Condition(*api.node(), "MemoryPressure").status(), "False");
  EXPECT_THAT(Taints(), ElementsAre(kOurTaint));
}

TEST_F(NodeRegistrarTest, TheCheckpointsNodeIsUsedUntilTheServerAnswers) {
  Start();
  loop.Advance(seconds(10));
  const corev1::Node cached = *api.node();
  Stop();
  api.Inject("WATCH nodes", Mishap::kFails, Error(ErrorKind::kRetry, "connection refused"), 100);
  runtime.SetNetworkReady(false);
  rack = "r2";
  Make();
  registrar->UseCached(cached);
  ASSERT_NE(registrar->node(), nullptr);
  EXPECT_EQ(Condition(*registrar->node(), "Ready").status(), "True");
  Start();
  loop.Advance(seconds(10));
  EXPECT_FALSE(registrar->observed());
  EXPECT_FALSE(registrar->claimed());
  EXPECT_THAT(registrar->uid(), IsEmpty());
  EXPECT_THAT(registrar->problem(), HasSubstr("connection refused"));
  EXPECT_EQ(Condition(*registrar->node(), "Ready").status(), "False") << "our newest conditions";
  EXPECT_EQ(decide::ValueOf(registrar->node()->metadata().labels(), "rack"), "r2") << "the configuration's";

  api.ClearMishaps();
  loop.Advance(minutes(1));
  EXPECT_TRUE(registrar->observed());
  EXPECT_EQ(registrar->uid(), "uid-1");
  EXPECT_THAT(registrar->problem(), IsEmpty());
  EXPECT_EQ(api.Ready(), "False");
}

TEST_F(NodeRegistrarTest, LabelsThatAreDeniedDoNotHoldTheStatusUp) {
  Start();
  loop.Advance(seconds(10));
  api.Inject("PUT nodes/node-a", Mishap::kFails, Forbidden(), 1000);
  rack = "r2";
  registrar->DesiredChanged();
  runtime.SetNetworkReady(false);
  loop.Advance(seconds(11));
  EXPECT_EQ(api.Ready(), "False");
  EXPECT_THAT(registrar->problem(), HasSubstr("check this agent's credentials and rights"));
  EXPECT_EQ(Label("rack"), "r1");
  api.ClearMishaps();
  loop.Advance(minutes(1));
  EXPECT_EQ(Label("rack"), "r2");
  EXPECT_THAT(registrar->problem(), IsEmpty());
}

TEST_F(NodeRegistrarTest, WhatSomebodyUndoesEachTimeIsWrittenEverMoreSlowly) {
  api.RefuseLabel("rack");
  Start();
  loop.Advance(minutes(10));
  EXPECT_LE(api.Count("PUT nodes/node-a"), 20);
  EXPECT_GE(api.Count("PUT nodes/node-a"), 5);
}

TEST_F(NodeRegistrarTest, AServerThatRefusesTheNodeIsAskedAgainEverMoreSlowly) {
  api.Inject("POST nodes", Mishap::kFails, Forbidden(), 1000);
  Start();
  loop.Advance(minutes(10));
  EXPECT_THAT(registrar->problem(), HasSubstr("create nodes node-a: no such right"));
  EXPECT_TRUE(registrar->claimed());
  EXPECT_THAT(registrar->uid(), IsEmpty());
  EXPECT_LE(api.Count("POST nodes"), 20);
  api.ClearMishaps();
  loop.Advance(minutes(2));
  EXPECT_EQ(registrar->uid(), "uid-1");
  EXPECT_THAT(registrar->problem(), IsEmpty());
}

TEST_F(NodeRegistrarTest, AMachineThatGoesDownSaysSo) {
  Start();
  loop.Advance(seconds(10));
  registrar->ShuttingDown(true);
  loop.Settle();
  EXPECT_EQ(api.Ready(), "False");
  EXPECT_EQ(Condition(*api.node(), "Ready").message(), "node is shutting down");
  registrar->ShuttingDown(false);
  loop.Advance(seconds(3));
  EXPECT_EQ(api.Ready(), "True");
}

TEST_F(NodeRegistrarTest, WithoutRegistrationTheNodeIsOnlyWatched) {
  register_node = false;
  Start();
  EXPECT_TRUE(registrar->observed());
  EXPECT_FALSE(registrar->claimed());
  EXPECT_THAT(registrar->problem(), HasSubstr("the server has no Node node-a, and registerNode is false"));
  MakeKubelet();
  loop.Advance(minutes(4));
  EXPECT_TRUE(registrar->claimed());
  EXPECT_EQ(registrar->uid(), "uid-1");
  EXPECT_THAT(registrar->problem(), IsEmpty());
  EXPECT_THAT(api.TakeCalls(), ElementsAre("WATCH nodes"));
  EXPECT_THAT(runtime.calls(), IsEmpty());
  api.DeleteNode();
  loop.Settle();
  EXPECT_FALSE(registrar->claimed());
  EXPECT_EQ(registrar->node(), nullptr);
}

}  // namespace
}  // namespace daemonsetd::cluster
