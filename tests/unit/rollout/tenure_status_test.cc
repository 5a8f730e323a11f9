// What a tenure writes to the status of DaemonSets, and how often; the steps are in tenure_test.cc.
#include <utility>

#include <fmt/format.h>

#include "agent/kube/codec.h"
#include "tests/unit/rollout/tenure_fixture.h"

namespace daemonsetd::rollout {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPut[] = "PUT daemonsets/log/status";
const std::vector<std::string> kThree = {"a", "b", "c"};

class TenureStatusTest : public TenureTest {
 protected:
  using TenureTest::TenureTest;

  appsv1::DaemonSetStatus StatusOf() { return Log().status(); }
  // Everything runs, and all that was to be said of it is said.
  void StartSettled(const std::vector<std::string>& nodes = kThree) {
    Run(MakeSet("log"), nodes);
    Start();
    Pass(seconds(30));
    ASSERT_EQ(ReasonOf(Log(), "Progressing"), "RolloutComplete");
    api_.ForgetCalls();
  }
};

TEST_F(TenureStatusTest, ItIsWrittenAlthoughCreatingRevisionsIsRefused) {  // ST-02
  Run(MakeSet("log"), kThree);
  api_.Refuse("POST controllerrevisions", Forbidden());
  Start();
  EXPECT_EQ(StatusOf().observedgeneration(), 1);
  EXPECT_EQ(StatusOf().desirednumberscheduled(), 3);
  EXPECT_EQ(StatusOf().numberavailable(), 3);
  UpdateImage("log:2");
  Pass(minutes(1));
  EXPECT_EQ(StatusOf().observedgeneration(), 2);
  EXPECT_EQ(StatusOf().updatednumberscheduled(), 0);
  Pass(minutes(20));
  EXPECT_LE(api_.Count("POST controllerrevisions"), 45);
  EXPECT_LE(api_.Count(kPut), 6);
}

TEST_F(TenureStatusTest, DesiredIsNeverZeroWhileNodesAreThere) {  // ST-05
  Run(MakeSet("log"), kThree);
  api_.OnCall(kPut, [&] {
    appsv1::DaemonSet sent;
    ASSERT_TRUE(kube::DecodeObject(api_.calls().back().body, "apps/v1", "DaemonSet", sent));
    EXPECT_EQ(sent.status().desirednumberscheduled(), 3);
  });
  Start();
  Pass(minutes(1));
  EXPECT_GE(api_.Count(kPut), 1);
}

TEST_F(TenureStatusTest, ANewGenerationAndTheEndOfTheRolloutAreWrittenAtOnce) {
  StartSettled();
  UpdateImage("log:2");  // within 10 ms
  EXPECT_EQ(StatusOf().observedgeneration(), 2);
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutInProgress");
  LetAgentsReplace();
  LetAgentsReplace();
  LetAgentsReplace();  // all within a second after the last write
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutComplete");
  EXPECT_EQ(StatusOf().updatednumberscheduled(), 3);
  EXPECT_LE(api_.Count(kPut), 3);
}

TEST_F(TenureStatusTest, OtherChangesAreWrittenOnceASecond) {
  StartSettled();
  for (int i = 0; i < 100; ++i) {  // ten seconds
    SetPodReady("a", i % 2 == 1);
    Pass(milliseconds(90));
  }
  EXPECT_GE(api_.Count(kPut), 4);
  EXPECT_LE(api_.Count(kPut), 11);
  Pass(seconds(5));
  EXPECT_EQ(StatusOf().numberready(), 3);
}

// Each write reaches every node: 1000 × 18 kB ÷ 4 MB/s.
TEST_F(TenureStatusTest, WritesOfALargeObjectInALargeClusterAreFarBetween) {
  appsv1::DaemonSet set = MakeSet("log");
  (*set.mutable_metadata()->mutable_annotations())["kubectl.kubernetes.io/last-applied-configuration"] =
      std::string(18'000, 'x');
  std::vector<std::string> nodes;
  for (int i = 0; i < 1000; ++i) nodes.push_back(fmt::format("n{:03}", i));
  Run(set, nodes);
  Start();
  Pass(seconds(30));
  ASSERT_EQ(StatusOf().numberready(), 1000);
  api_.ForgetCalls();
  for (int i = 0; i < 90; ++i) {  // 90 s
    SetPodReady(fmt::format("n{:03}", i), false);
    Pass(milliseconds(990));
  }
  const auto puts = api_.Calls(kPut);
  EXPECT_GE(puts.size(), 15U);
  EXPECT_LE(puts.size(), 20U);
  for (std::size_t i = 1; i < puts.size(); ++i) EXPECT_GE(puts[i].at - puts[i - 1].at, milliseconds(4500));
  Pass(seconds(5));
  EXPECT_EQ(StatusOf().numberready(), 910);  // the last change is written too
}

TEST_F(TenureStatusTest, NothingIsWrittenWhileNoCountChanges) {
  StartSettled();
  for (int i = 0; i < 60; ++i) {
    corev1::Node node = MakeNode("a");
    (*node.mutable_metadata()->mutable_annotations())["heartbeat"] = std::to_string(i);
    api_.Put(node);
    auto pod = api_.At<corev1::Pod>(NameAt("b"));
    pod.mutable_status()->set_message(std::to_string(i));
    api_.Put(pod);
    Pass(seconds(10));
  }
  EXPECT_THAT(api_.Writes(), IsEmpty());
  EXPECT_EQ(api_.Count("GET"), 0);
}

TEST_F(TenureStatusTest, AConflictIsRetriedAndConditionsOfOthersStay) {
  StartSettled();
  bool wrote = false;
  api_.OnCall(kPut, [&] {
    if (std::exchange(wrote, true)) return;
    appsv1::DaemonSet set = Log();
    appsv1::DaemonSetCondition& condition = *set.mutable_status()->add_conditions();
    condition.set_type("Audited");
    condition.set_status("True");
    condition.set_reason("ByHand");
    api_.Put(set);
  });
  SetPodReady("a", false);
  Pass(seconds(5));
  ASSERT_TRUE(wrote);
  EXPECT_EQ(StatusOf().numberready(), 2);
  EXPECT_EQ(ReasonOf(Log(), "Audited"), "ByHand");
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutComplete");
  EXPECT_LE(api_.Count(kPut), 3);
}

TEST_F(TenureStatusTest, AnAnswerThatIsLostAfterItWasWrittenIsNoLoop) {
  StartSettled();
  api_.LoseAnswers(kPut);
  SetPodReady("a", false);
  Pass(minutes(1));
  EXPECT_EQ(StatusOf().numberready(), 2);
  EXPECT_LE(api_.Count(kPut), 3);
}

TEST_F(TenureStatusTest, AServerThatIsSlowGetsNoSecondWriteMeanwhile) {
  StartSettled();
  api_.HoldBack<appsv1::DaemonSet>(true);
  SetPodReady("a", false);
  Pass(minutes(1));
  EXPECT_EQ(api_.Count(kPut), 1);
  SetPodReady("b", false);
  Pass(minutes(1));
  EXPECT_EQ(api_.Count(kPut), 2);  // on what the first was answered with
  EXPECT_EQ(StatusOf().numberready(), 1);
}

// ---- Dead nodes

TEST_F(TenureStatusTest, PodsOfANodeThatIsNotReadyAreNeitherReadyNorAvailable) {
  StartSettled();
  corev1::Node node = MakeNode("b");
  SetReady(node, "Unknown", wall());
  api_.Put(node);
  Pass(seconds(2));
  EXPECT_THAT(dead_, ElementsAre("b"));
  EXPECT_EQ(StatusOf().numberready(), 2);
  EXPECT_EQ(StatusOf().numberavailable(), 2);
  EXPECT_EQ(StatusOf().numberunavailable(), 1);
  EXPECT_EQ(StatusOf().currentnumberscheduled(), 3);
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutComplete");

  SetReady(node, "True", wall());
  api_.Put(node);
  Pass(seconds(2));
  EXPECT_THAT(dead_, IsEmpty());
  EXPECT_EQ(StatusOf().numberready(), 3);
  EXPECT_EQ(StatusOf().numberavailable(), 3);
}

TEST_F(TenureStatusTest, ANodeWhoseLeaseRanOutIsDeadUntilItRenews) {
  for (const std::string& node : kThree) api_.Put(MakeNodeLease(node, wall()));
  StartSettled();
  for (int i = 0; i < 6; ++i) {  // one minute, and b renews no more
    for (const std::string node : {"a", "c"}) api_.Put(MakeNodeLease(node, wall()));
    Pass(seconds(10));
  }
  EXPECT_THAT(dead_, ElementsAre("b"));
  EXPECT_EQ(StatusOf().numberready(), 2);
  EXPECT_EQ(StatusOf().numberavailable(), 2);

  for (int i = 0; i < 2; ++i) {
    for (const std::string& node : kThree) api_.Put(MakeNodeLease(node, wall()));
    Pass(seconds(10));
  }
  Pass(seconds(2));
  EXPECT_THAT(dead_, IsEmpty());
  EXPECT_EQ(StatusOf().numberready(), 3);
}

TEST_F(TenureStatusTest, ARolloutPassesByNodesThatWereDeadBeforeAndWaitsForOneThatDiedOfIt) {  // RO-02
  Run(MakeSet("log"), {"a", "b", "c", "d"});
  corev1::Node dead = MakeNode("a");
  SetReady(dead, "Unknown", wall() - minutes(10));
  api_.Put(dead);
  Start();
  Pass(seconds(5));
  UpdateImage("log:2");
  ASSERT_THAT(Going(), ElementsAre("b"));
  LetAgentsReplace();
  ASSERT_THAT(Going(), ElementsAre("c"));
  corev1::Node died = MakeNode("b");
  Pass(seconds(5));
  SetReady(died, "Unknown", wall());
  api_.Put(died);
  LetAgentsReplace();
  Pass(minutes(5));
  EXPECT_THAT(Going(), IsEmpty());
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutInProgress");

  SetReady(died, "True", wall());
  api_.Put(died);
  Pass(seconds(1));
  EXPECT_THAT(Going(), ElementsAre("d"));
  LetAgentsReplace();
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutComplete");
  EXPECT_EQ(StatusOf().updatednumberscheduled(), 3);
}

// ---- What is told

TEST_F(TenureStatusTest, ARolloutThatDoesNotGetOnIsToldOnceAfterTheDeadline) {  // RO-19
  StartSettled();
  UpdateImage("log:2");
  api_.Remove<corev1::Pod>(NameAt("a"));
  PutPod("a", false, wall(), 2);  // never ready
  Pass(minutes(9));
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutInProgress");
  EXPECT_EQ(Told("ProgressDeadlineExceeded"), 0);
  Pass(seconds(62));  // no other event
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "ProgressDeadlineExceeded");
  EXPECT_EQ(Told("ProgressDeadlineExceeded"), 1);
  EXPECT_THAT(last_event_, HasSubstr("0 of 3 nodes"));
  Pass(minutes(30));
  EXPECT_EQ(Told("ProgressDeadlineExceeded"), 1);

  SetPodReady("a", true, 2);
  Pass(seconds(1));
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutInProgress");
  EXPECT_THAT(Going(), ElementsAre("b"));
}

TEST_F(TenureStatusTest, WhatBreaksAfterACompleteRolloutIsNoRolloutThatIsStuck) {
  StartSettled();
  SetPodReady("a", false);
  Pass(minutes(30));
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutComplete");
  EXPECT_EQ(Told("ProgressDeadlineExceeded"), 0);
}

TEST_F(TenureStatusTest, ASurgeThatHostPortsForbidIsToldAndTouchesNoPod) {  // RO-07
  appsv1::DaemonSet set = MakeSet("log", "log:1", "{maxUnavailable: 0, maxSurge: 1}");
  auto& port = *set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->add_ports();
  port.set_containerport(80);
  port.set_hostport(8080);
  Run(set, kThree);
  Start();
  UpdateImage("log:2");
  Pass(minutes(30));
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "SurgeHostPortConflict");
  EXPECT_EQ(Told("SurgeHostPortConflict"), 1);
  EXPECT_THAT(last_event_, HasSubstr("8080"));
  for (const std::string& write : api_.Writes()) EXPECT_THAT(write, ::testing::Not(HasSubstr("pods/")));
  EXPECT_EQ(StatusOf().observedgeneration(), 2);
}

}  // namespace
}  // namespace daemonsetd::rollout
