// The steps of a rollout, and the revisions; the status is in tenure_status_test.cc.
#include "agent/rollout/tenure.h"

#include <utility>

#include <fmt/format.h>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_merge.h"
#include "agent/kube/codec.h"
#include "tests/unit/rollout/tenure_fixture.h"

namespace daemonsetd::rollout {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::vector<std::string> kThree = {"a", "b", "c"};

metav1::DeleteOptions OptionsOf(const ClusterApi::Call& call) {
  metav1::DeleteOptions options;
  EXPECT_TRUE(kube::DecodeObject(call.body, "v1", "DeleteOptions", options));
  return options;
}

std::string NameOfRevision(const appsv1::DaemonSet& set) {
  return "log-" + decide::TemplateHash(set.spec().template_());
}

// ---- ST-05

class BeforeTheLists : public TenureTest, public ::testing::WithParamInterface<std::string> {
 protected:
  void HoldBackOne(bool hold) {
    if (GetParam() == "nodes") api_.HoldBack<corev1::Node>(hold);
    if (GetParam() == "pods") api_.HoldBack<corev1::Pod>(hold);
    if (GetParam() == "controllerrevisions") api_.HoldBack<appsv1::ControllerRevision>(hold);
    if (GetParam() == "daemonsets") api_.HoldBack<appsv1::DaemonSet>(hold);
    // Where a watch list does not come in time, pages are asked for.
    if (hold) {
      api_.Silence("LIST " + GetParam());
    } else {
      api_.Heal();
    }
  }
};

TEST_P(BeforeTheLists, NothingIsWrittenUntilTheLastOfThemIsComplete) {  // ST-05
  Run(MakeSet("log"), kThree);
  UpdateImage("log:2");
  HoldBackOne(true);
  Start();
  Pass(minutes(5));
  EXPECT_THAT(api_.Writes(), IsEmpty());
  EXPECT_EQ(api_.Count("GET daemonsets"), 0);

  HoldBackOne(false);
  Pass(minutes(3));
  EXPECT_THAT(Going(), ElementsAre("a"));
  EXPECT_EQ(Log().status().desirednumberscheduled(), 3);
}

INSTANTIATE_TEST_SUITE_P(Each, BeforeTheLists, ::testing::Values("nodes", "pods", "controllerrevisions", "daemonsets"),
                         [](const auto& each) { return each.param; });

TEST_F(TenureTest, NothingIsWrittenBeforeTheLeasesWereLookedAt) {  // ST-05
  Run(MakeSet("log"), kThree);
  api_.Silence("LIST leases");
  Start();
  Pass(seconds(9));
  EXPECT_THAT(api_.Writes(), IsEmpty());
  Pass(seconds(2));  // their request has run out of time: the Ready condition alone decides
  EXPECT_THAT(api_.Writes(), Contains("PUT daemonsets/log/status"));
}

TEST_F(TenureTest, WithoutChangesOfOneKindNothingIsDecided) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.Refuse("WATCH nodes", testing::StatusResponse(503, "ServiceUnavailable", "not now"));
  api_.Refuse("LIST nodes", testing::StatusResponse(503, "ServiceUnavailable", "not now"));
  api_.BreakWatches<corev1::Node>();
  Pass(minutes(1));
  EXPECT_THAT(tenure_->problem(), Not(IsEmpty()));
  api_.ForgetCalls();
  UpdateImage("log:2");
  Pass(minutes(1));
  EXPECT_THAT(api_.Writes(), IsEmpty());

  api_.Heal();
  Pass(minutes(2));
  EXPECT_THAT(Going(), ElementsAre("a"));
  EXPECT_EQ(tenure_->problem(), "");
}

// ---- One step after the other

TEST_F(TenureTest, AStepDeletesThePodAsItWasSeen) {
  Run(MakeSet("log"), kThree);
  Start();
  const auto pod = api_.At<corev1::Pod>(NameAt("a"));
  UpdateImage("log:2");

  const auto deletions = api_.Calls("DELETE");
  ASSERT_THAT(deletions, SizeIs(1));
  EXPECT_EQ(deletions[0].text, "DELETE pods/log-a-1");
  const metav1::DeleteOptions options = OptionsOf(deletions[0]);
  EXPECT_EQ(options.preconditions().uid(), pod.metadata().uid());
  EXPECT_EQ(options.preconditions().resourceversion(), pod.metadata().resourceversion());
  EXPECT_FALSE(options.has_graceperiodseconds());  // the pod's own
  EXPECT_EQ(Told("SuccessfulDelete"), 1);
}

TEST_F(TenureTest, NodeAfterNodeIsReplacedUntilAllRunTheTemplate) {
  Run(MakeSet("log"), kThree);
  Start();
  UpdateImage("log:2");
  for (const std::string& node : kThree) {
    EXPECT_THAT(Going(), ElementsAre(node));
    LetAgentsReplace();
  }
  Pass(minutes(1));
  EXPECT_THAT(Going(), IsEmpty());
  EXPECT_EQ(api_.Count("DELETE pods"), 3);
  EXPECT_EQ(ReasonOf(Log(), "Progressing"), "RolloutComplete");
}

TEST_F(TenureTest, AnAcceptedDeletionCountsBeforeTheWatchShowsIt) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  UpdateImage("log:2");
  ASSERT_THAT(Going(), ElementsAre("a"));
  for (int i = 0; i < 6; ++i) {  // it looks again and again, and would begin with another node now
    corev1::Node node = MakeNode("c", {"log:2"});
    (*node.mutable_metadata()->mutable_labels())["look"] = std::to_string(i);
    api_.Put(node);
    Pass(seconds(10));
  }
  EXPECT_EQ(api_.Count("DELETE pods"), 1);

  api_.HoldBack<corev1::Pod>(false);
  LetAgentsReplace();
  EXPECT_THAT(Going(), ElementsAre("c"));
}

TEST_F(TenureTest, NoSecondNodeIsTakenWhileTheAnswerOfTheFirstLags) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  api_.Delay("DELETE pods", seconds(8));
  UpdateImage("log:2");
  api_.Put(MakeNode("c", {"log:2"}));
  Pass(seconds(20));
  EXPECT_THAT(Going(), ElementsAre("a"));
  EXPECT_EQ(api_.Count("DELETE pods"), 1);
}

TEST_F(TenureTest, NoSecondNodeIsTakenWhileItIsUnknownWhatBecameOfTheFirst) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  api_.LoseAnswers("DELETE pods");
  UpdateImage("log:2");
  ASSERT_THAT(Going(), ElementsAre("a"));
  api_.Heal();
  api_.Put(MakeNode("c", {"log:2"}));  // would go first now
  Pass(minutes(1));
  EXPECT_THAT(Going(), ElementsAre("a"));
  EXPECT_EQ(api_.Count("DELETE pods"), 1);  // the pod itself was asked for

  api_.HoldBack<corev1::Pod>(false);
  LetAgentsReplace();
  EXPECT_THAT(Going(), ElementsAre("c"));
}

TEST_F(TenureTest, NoStepIsTakenUntilTheServerSaidWhatBecameOfTheLast) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  api_.LoseAnswers("DELETE pods");
  api_.Refuse("GET pods", testing::StatusResponse(503, "ServiceUnavailable", "not now"));
  UpdateImage("log:2");
  api_.Put(MakeNode("c", {"log:2"}));
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("DELETE pods"), 1);
  EXPECT_LE(api_.Count("GET pods"), 10);
  EXPECT_EQ(Log().status().observedgeneration(), 2);
}

TEST_F(TenureTest, ADeletionThatNeverArrivedIsTriedAgain) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.Silence("DELETE pods");
  UpdateImage("log:2");
  Pass(seconds(15));
  EXPECT_THAT(Going(), IsEmpty());
  api_.Heal();
  Pass(seconds(20));
  EXPECT_THAT(Going(), ElementsAre("a"));
}

TEST_F(TenureTest, APodThatHasChangedIsTriedNowAndThenUntilTheWatchShowsIt) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  auto pod = api_.At<corev1::Pod>(NameAt("a"));
  (*pod.mutable_metadata()->mutable_labels())["team"] = "logs";
  api_.Put(pod);
  UpdateImage("log:2");
  Pass(minutes(1));
  EXPECT_THAT(Going(), IsEmpty());
  EXPECT_LE(api_.Count("DELETE pods"), 15);
  EXPECT_LE(api_.Count("GET daemonsets"), 20);

  api_.HoldBack<corev1::Pod>(false);
  Pass(seconds(10));
  EXPECT_THAT(Going(), ElementsAre("a"));
}

class GoneUnseen : public TenureTest, public ::testing::WithParamInterface<bool> {};

TEST_P(GoneUnseen, APodThatSomebodyElseDeletedTakesTheBudgetBeforeTheWatchShowsIt) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  if (GetParam()) {
    auto pod = api_.At<corev1::Pod>(NameAt("a"));
    pod.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(4'000'000'000);
    api_.Put(pod);
  } else {
    api_.Remove<corev1::Pod>(NameAt("a"));
  }
  const auto before = Going();
  UpdateImage("log:2");
  api_.Put(MakeNode("c", {"log:2"}));  // would go first now
  Pass(minutes(1));
  EXPECT_EQ(Going(), before);
  EXPECT_LE(api_.Count("DELETE pods"), 2);
  EXPECT_LE(api_.Count("GET daemonsets"), 5);
}

INSTANTIATE_TEST_SUITE_P(Pod, GoneUnseen, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "OnItsWayOut" : "Gone"; });

TEST_F(TenureTest, ARefusedDeletionIsTriedLessAndLess) {
  Run(MakeSet("log"), kThree);
  Start();
  api_.Refuse("DELETE pods", Forbidden());
  UpdateImage("log:2");
  Pass(minutes(10));
  EXPECT_LE(api_.Count("DELETE pods"), 20);
  EXPECT_EQ(Log().status().observedgeneration(), 2);
  api_.Heal();
  Pass(seconds(90));
  EXPECT_THAT(Going(), ElementsAre("a"));
}

TEST_F(TenureTest, ALiveReadWithAnotherGenerationEndsTheRound) {
  Run(MakeSet("log"), kThree);
  Start();
  Pass(seconds(1));
  bool changed = false;
  api_.OnCall("GET daemonsets/log", [&] {
    const bool is_read_before_steps = api_.calls().back().text == "GET daemonsets/log";
    if (changed || !is_read_before_steps) return;
    changed = true;
    api_.HoldBack<appsv1::DaemonSet>(true);
    appsv1::DaemonSet set = Log();
    SetImage(set, "log:3");
    api_.Put(set);
  });
  UpdateImage("log:2");
  ASSERT_TRUE(changed);
  Pass(minutes(1));
  EXPECT_THAT(Going(), IsEmpty());
  EXPECT_LE(api_.Count("GET daemonsets/log"), 15);
  EXPECT_NE(Log().status().observedgeneration(), 3);  // nobody has seen it yet

  api_.Heal();
  api_.HoldBack<appsv1::DaemonSet>(false);
  Pass(minutes(1));
  EXPECT_THAT(Going(), ElementsAre("a"));
  EXPECT_EQ(Log().status().observedgeneration(), 3);
}

TEST_F(TenureTest, StepsOfATemplateThatIsReplacedMeanwhileAreNotTaken) {
  Run(MakeSet("log", "log:1", "{maxUnavailable: 3}"), {"a", "b", "c", "d"});
  Start();
  api_.Delay("DELETE pods", seconds(2));
  UpdateImage("log:2");
  Pass(seconds(1));
  appsv1::DaemonSet set = Log();
  SetImage(set, "log:1");  // back: the pods that are left run it
  api_.Put(set);
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("DELETE pods"), 1);
  EXPECT_EQ(Log().status().updatednumberscheduled(), 4);
}

// ---- Surge

TEST_F(TenureTest, ASurgeIsAskedForOnOneNodeUntilTheWatchShowsMore) {
  Run(MakeSet("log", "log:1", "{maxUnavailable: 0, maxSurge: 1}"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  UpdateImage("log:2");
  api_.Put(MakeNode("c", {"log:2"}));
  Pass(minutes(1));
  EXPECT_THAT(api_.Calls("PATCH pods"), SizeIs(1));
  EXPECT_EQ(api_.Count("DELETE pods"), 0);
  const std::string asked =
      decide::ValueOf(api_.At<corev1::Pod>(NameAt("a")).metadata().annotations(), decide::kSurgeAnnotation);
  EXPECT_EQ(asked, decide::TemplateHash(Log().spec().template_()));

  api_.HoldBack<corev1::Pod>(false);
  PutPod("a", true, wall(), 2);
  Pass(seconds(1));
  EXPECT_EQ(api_.Count("PATCH pods"), 2);  // it is available, so the old one is as good as gone
}

TEST_F(TenureTest, NoSecondSurgeWhileItIsUnknownWhatBecameOfTheFirst) {
  Run(MakeSet("log", "log:1", "{maxUnavailable: 0, maxSurge: 1}"), kThree);
  Start();
  api_.HoldBack<corev1::Pod>(true);
  api_.LoseAnswers("PATCH pods");
  UpdateImage("log:2");
  api_.Heal();
  api_.Put(MakeNode("c", {"log:2"}));  // would go first now
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("PATCH pods/log-a-1"), 1);
  EXPECT_EQ(api_.Count("PATCH pods"), 1);
}

TEST_F(TenureTest, ASurgeThatWasNeverAskedForIsAskedForAgain) {
  Run(MakeSet("log", "log:1", "{maxUnavailable: 0, maxSurge: 1}"), kThree);
  Start();
  api_.Silence("PATCH pods");
  UpdateImage("log:2");
  Pass(seconds(15));
  api_.Heal();
  Pass(seconds(20));
  EXPECT_EQ(decide::ValueOf(api_.At<corev1::Pod>(NameAt("a")).metadata().annotations(), decide::kSurgeAnnotation),
            decide::TemplateHash(Log().spec().template_()));
  EXPECT_EQ(api_.Count("PATCH pods/log-b-1"), 0);
}

// ---- minReadySeconds

class MinReady : public TenureTest, public ::testing::WithParamInterface<int> {};

TEST_P(MinReady, TheRolloutGoesOnAtTheEndOfTheWaitOnTheCoordinatorsOwnClock) {  // RO-03, RO-04
  appsv1::DaemonSet set = MakeSet("log");
  set.mutable_spec()->set_minreadyseconds(30);
  Run(set, {"a", "b"});
  Start();
  UpdateImage("log:2");
  ASSERT_THAT(Going(), ElementsAre("a"));
  api_.Remove<corev1::Pod>(NameAt("a"));
  PutPod("a", false, wall() + seconds(GetParam()), 2);
  Pass(seconds(200));
  PutPod("a", true, wall() + seconds(GetParam()), 2);

  Pass(milliseconds(29'900));  // no other event
  EXPECT_THAT(Going(), IsEmpty());
  Pass(milliseconds(1'100));
  EXPECT_THAT(Going(), ElementsAre("b"));
}

INSTANTIATE_TEST_SUITE_P(ClockOfTheNode, MinReady, ::testing::Values(-90, 0, 90), [](const auto& each) {
  return each.param < 0 ? "Behind" : each.param > 0 ? "Ahead" : "Right";
});

TEST_F(TenureTest, ASurgeGoesOnAtTheEndOfTheWait) {  // RO-04
  appsv1::DaemonSet set = MakeSet("log", "log:1", "{maxUnavailable: 0, maxSurge: 1}");
  set.mutable_spec()->set_minreadyseconds(10);
  Run(set, {"a", "b"});
  Start();
  UpdateImage("log:2");
  PutPod("a", false, wall(), 2);
  Pass(seconds(5));
  PutPod("a", true, wall(), 2);
  Pass(milliseconds(9'900));
  EXPECT_EQ(api_.Count("PATCH pods"), 1);
  Pass(milliseconds(1'100));
  EXPECT_EQ(api_.Count("PATCH pods/log-b-1"), 1);
}

// ---- Images

class WaitForImages : public TenureTest {
 protected:
  WaitForImages() : TenureTest({.image_wait = seconds(30)}) {}
};

TEST_F(WaitForImages, NodesThatReportThemGoFirstAndTheOthersAfterTheWait) {
  Run(MakeSet("log"), kThree);
  api_.Put(MakeNode("b", {"docker.io/library/log:2"}));
  Start();
  UpdateImage("log:2");
  EXPECT_THAT(Going(), ElementsAre("b"));
  LetAgentsReplace();
  Pass(seconds(25));
  EXPECT_THAT(Going(), IsEmpty());
  Pass(seconds(7));
  EXPECT_THAT(Going(), ElementsAre("a"));
}

TEST_F(WaitForImages, ANodeGoesAsSoonAsItReportsThem) {
  Run(MakeSet("log"), kThree);
  Start();
  UpdateImage("log:2");
  Pass(seconds(5));
  EXPECT_THAT(Going(), IsEmpty());
  api_.Put(MakeNode("c", {"docker.io/library/log:2"}));
  Pass(milliseconds(10));
  EXPECT_THAT(Going(), ElementsAre("c"));
}

TEST_F(WaitForImages, WhatReadyPodsOfTheNodeRunIsThere) {
  Run(MakeSet("log"), kThree);
  PutPod("a", false, wall() - std::chrono::hours(1));
  Start();
  appsv1::DaemonSet set = Log();
  set.mutable_metadata()->set_generation(set.metadata().generation() + 1);
  set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->add_env()->set_name("VERSION");
  api_.Put(set);
  Pass(milliseconds(10));
  EXPECT_THAT(Going(), ElementsAre("a")) << "broken: it waits for nothing";
  LetAgentsReplace();
  EXPECT_THAT(Going(), ElementsAre("b"));
}

TEST_F(WaitForImages, ATenureThatBeginsWithinARolloutDoesNotWaitAgain) {
  Run(MakeSet("log"), kThree);
  Start();
  UpdateImage("log:2");
  Pass(minutes(1));
  LetAgentsReplace();
  ASSERT_THAT(Going(), ElementsAre("b"));
  StopTenure();
  api_.Remove<corev1::Pod>(NameAt("b"));
  PutPod("b", true, wall(), 2);
  Start();
  Pass(seconds(2));
  EXPECT_THAT(Going(), ElementsAre("c"));
}

// ---- The hold

// All that a coordinator asks but its watches.
std::vector<ClusterApi::Call> Requests(const ClusterApi& api) {
  std::vector<ClusterApi::Call> requests;
  for (const ClusterApi::Call& call : api.calls()) {
    if (!call.text.starts_with("WATCH") && !call.text.starts_with("LIST")) requests.push_back(call);
  }
  return requests;
}

TEST_F(TenureTest, NothingIsSentAfterTheHoldHasRunOutInTheMiddleOfSteps) {
  Run(MakeSet("log", "log:1", "{maxUnavailable: 4}"), {"a", "b", "c", "d", "e"});
  Start();
  Pass(seconds(5));
  api_.ForgetCalls();
  api_.Delay("DELETE pods", seconds(3));
  holds_until_ = now() + seconds(7);
  UpdateImage("log:2");
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("DELETE pods"), 3);  // at 0, 3 and 6 s
  for (const ClusterApi::Call& call : Requests(api_)) {
    EXPECT_LT(call.at, *holds_until_) << call.text;
    EXPECT_LE(call.deadline, *holds_until_) << call.text;
  }
}

TEST_F(TenureTest, NothingIsSentWhileTheHoldIsSomebodyElses) {
  Run(MakeSet("log"), kThree);
  holds_until_.reset();
  Start();
  UpdateImage("log:2");
  Pass(minutes(10));
  EXPECT_THAT(Requests(api_), IsEmpty());
  holds_until_ = now() + std::chrono::hours(1);
  tenure_->Notify();
  Pass(seconds(1));
  EXPECT_THAT(Going(), ElementsAre("a"));
}

TEST_F(TenureTest, NoDeadlineOfARevisionReachesBeyondTheHold) {
  Run(MakeSet("log"), kThree);
  Start();
  Pass(seconds(5));
  api_.ForgetCalls();
  api_.Delay("GET daemonsets/log as JSON", seconds(4));
  api_.Delay("POST controllerrevisions", seconds(20));
  holds_until_ = now() + seconds(7);
  UpdateImage("log:2");
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("POST controllerrevisions"), 1);
  for (const ClusterApi::Call& call : Requests(api_)) {
    EXPECT_LT(call.at, *holds_until_) << call.text;
    EXPECT_LE(call.deadline, *holds_until_) << call.text;
  }
}

TEST_F(TenureTest, NoDeadlineOfACollisionReachesBeyondTheHold) {
  Run(MakeSet("log"), kThree);
  Start();
  Pass(seconds(5));
  appsv1::DaemonSet next = Log();
  SetImage(next, "log:2");
  auto other = api_.All<appsv1::ControllerRevision>().begin()->second;
  other.mutable_metadata()->set_name(NameOfRevision(next));
  other.mutable_metadata()->clear_uid();
  other.mutable_metadata()->clear_ownerreferences();
  other.mutable_metadata()->clear_labels();
  api_.Put(other);
  api_.ForgetCalls();
  api_.Delay("GET controllerrevisions", seconds(4));
  holds_until_ = now() + seconds(7);
  UpdateImage("log:2");
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("GET controllerrevisions"), 1);
  for (const ClusterApi::Call& call : Requests(api_)) EXPECT_LE(call.deadline, *holds_until_) << call.text;
}

// ---- Revisions

TEST_F(TenureTest, EveryTemplateHasItsRevision) {
  Run(MakeSet("log"), kThree);
  Start();
  const std::string first = NameOfRevision(Log());
  UpdateImage("log:2");
  Pass(seconds(1));
  std::vector<std::string> names;
  for (const auto& [name, revision] : api_.All<appsv1::ControllerRevision>()) names.push_back(name.name);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(first, NameOfRevision(Log())));
  EXPECT_EQ(api_.Count("POST controllerrevisions"), 2);
}

class Collision : public TenureTest {
 protected:
  // Somebody's object has the name that the revision of log:2 is to have.
  void TakeName() {
    appsv1::DaemonSet next = Log();
    SetImage(next, "log:2");
    appsv1::ControllerRevision other;
    other.mutable_metadata()->set_namespace_("default");
    other.mutable_metadata()->set_name(NameOfRevision(next));
    other.mutable_data()->set_raw("{}");
    api_.Put(other);
  }
};

TEST_F(Collision, ANameThatIsTakenRaisesTheCountOnceAndAnotherNameIsTried) {  // RO-09
  Run(MakeSet("log"), kThree);
  TakeName();
  Start();
  UpdateImage("log:2");
  Pass(minutes(1));
  EXPECT_EQ(Log().status().collisioncount(), 1);
  EXPECT_EQ(api_.Count("POST controllerrevisions"), 3);  // of log:1, the taken name, the other one
  EXPECT_THAT(Going(), ElementsAre("a"));
}

TEST_F(Collision, ACopyThatLagsRaisesTheCountNoSecondTime) {  // RO-10
  Run(MakeSet("log"), kThree);
  TakeName();
  Start();
  Pass(seconds(5));
  // Somebody has noted it: the server knows, and the watch does not show it.
  bool noted = false;
  api_.OnCall("POST controllerrevisions", [&] {
    if (std::exchange(noted, true)) return;
    api_.HoldBack<appsv1::DaemonSet>(true);
    appsv1::DaemonSet set = Log();
    set.mutable_status()->set_collisioncount(1);
    api_.Put(set);
  });
  UpdateImage("log:2");
  Pass(minutes(1));
  ASSERT_TRUE(noted);
  EXPECT_EQ(Log().status().collisioncount(), 1);
  EXPECT_LE(api_.Count("POST controllerrevisions"), 12);

  api_.HoldBack<appsv1::DaemonSet>(false);
  Pass(minutes(1));
  EXPECT_EQ(Log().status().collisioncount(), 1);
  EXPECT_EQ(Log().status().observedgeneration(), 2);
  EXPECT_THAT(Going(), ElementsAre("a"));
}

}  // namespace
}  // namespace daemonsetd::rollout
