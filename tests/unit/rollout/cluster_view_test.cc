#include "agent/rollout/cluster_view.h"

#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/pod_merge.h"
#include "tests/support/loop.h"
#include "tests/unit/rollout/cluster_api.h"
#include "tests/unit/rollout/cluster_objects.h"

namespace daemonsetd::rollout {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ClusterViewTest : public ::testing::Test {
 protected:
  ClusterViewTest() { set_.mutable_metadata()->set_uid("set-uid"); }
  ~ClusterViewTest() override {
    if (running_) loop_.Cancel(running_);
  }

  void Start() {
    running_ = loop_.Start(view_.Run());
    Pass(milliseconds(10));
  }
  void Pass(Nanoseconds time) { loop_.Advance(time); }
  WallTime wall() { return loop_.timeline().Read().wall; }

  void Renew(const std::vector<std::string>& nodes) {
    for (const std::string& node : nodes) api_.Put(MakeNodeLease(node, wall()));
  }
  bool IsDead(const std::string& node) { return view_.nodes().at(node).dead_since.has_value(); }
  const PodSight& PodOf(const std::string& node) {
    for (const auto& [uid, sight] : view_.PodsOf("set-uid")) {
      if (sight.pod->spec().nodename() == node) return sight;
    }
    throw std::logic_error("no pod on " + node);
  }
  // For how long it has been ready, by our own clock.
  Nanoseconds ReadyFor(const std::string& node) {
    return loop_.timeline().mono() - *decide::AvailableAt(PodOf(node).ready, 0);
  }

  testing::TestLoop loop_;
  ClusterApi api_{loop_.executor(), loop_.timeline()};
  kube::RequestLimiter limiter_{loop_.executor(), loop_.timeline(), {}};
  kube::Client client_{api_, limiter_, loop_.timeline()};
  int told_ = 0;
  ClusterView view_{loop_.executor(), loop_.timeline(), client_, [] { return 0.5; }, [this] { ++told_; }};
  appsv1::DaemonSet set_ = MakeSet("log");
  std::shared_ptr<testing::Started<void>> running_;
};

TEST_F(ClusterViewTest, ItIsCompleteWhenEveryListIsAndTheLeasesWereSeen) {  // ST-05
  api_.Put(MakeNode("a"));
  api_.HoldBack<corev1::Node>(true);
  api_.HoldBack<corev1::Pod>(true);
  api_.HoldBack<appsv1::ControllerRevision>(true);
  api_.Delay("LIST leases", seconds(5));
  Start();
  EXPECT_FALSE(view_.complete());
  api_.HoldBack<corev1::Pod>(false);
  api_.HoldBack<corev1::Node>(false);
  Pass(seconds(1));
  EXPECT_FALSE(view_.complete());
  api_.HoldBack<appsv1::ControllerRevision>(false);
  Pass(seconds(1));
  EXPECT_FALSE(view_.complete());
  Pass(seconds(4));
  EXPECT_TRUE(view_.complete());
  EXPECT_TRUE(view_.live());
  EXPECT_TRUE(view_.TakeChanges().all);
  EXPECT_GT(told_, 0);
}

TEST_F(ClusterViewTest, OfAPodOnlyWhatDecisionsReadIsKept) {
  corev1::Pod pod = MakePod(set_, "a");
  metav1::ObjectMeta& metadata = *pod.mutable_metadata();
  (*metadata.mutable_annotations())["big"] = std::string(10'000, 'x');
  (*metadata.mutable_annotations())[decide::kSurgeAnnotation] = "hash";
  metadata.add_managedfields()->set_manager("kubectl");
  SetReady(pod, true, wall());
  pod.mutable_status()->add_containerstatuses()->set_name("main");
  pod.mutable_status()->add_conditions()->set_type("PodScheduled");
  api_.Put(pod);
  Start();

  const corev1::Pod& kept = *PodOf("a").pod;
  ASSERT_EQ(kept.spec().containers_size(), 1);
  EXPECT_EQ(kept.spec().containers(0).image(), pod.spec().containers(0).image());
  EXPECT_EQ(kept.spec().containers(0).ByteSizeLong(), kept.spec().containers(0).image().size() + 2) << "nothing else";
  EXPECT_EQ(kept.spec().tolerations_size(), 0);
  EXPECT_EQ(kept.spec().nodename(), "a");
  EXPECT_EQ(kept.metadata().managedfields_size(), 0);
  ASSERT_EQ(kept.metadata().annotations_size(), 1);
  EXPECT_EQ(kept.metadata().annotations().at(decide::kSurgeAnnotation), "hash");
  EXPECT_EQ(kept.status().phase(), "Running");
  EXPECT_EQ(kept.status().containerstatuses_size(), 0);
  ASSERT_EQ(kept.status().conditions_size(), 1);
  EXPECT_EQ(kept.status().conditions(0).type(), "Ready");
  EXPECT_FALSE(kept.metadata().resourceversion().empty());
  EXPECT_LT(kept.ByteSizeLong(), 500U);
}

TEST_F(ClusterViewTest, APodWithoutTheMarkKeepsNoAnnotation) {
  corev1::Pod pod = MakePod(set_, "a");
  (*pod.mutable_metadata()->mutable_annotations())["big"] = "x";
  api_.Put(pod);
  Start();
  EXPECT_EQ(PodOf("a").pod->metadata().annotations_size(), 0);
}

TEST_F(ClusterViewTest, OfANodeOnlyWhatDecisionsReadIsKept) {
  corev1::Node node = MakeNode("a", {"log:1", "docker.io/library/other:2"});
  (*node.mutable_metadata()->mutable_annotations())["big"] = std::string(10'000, 'x');
  node.mutable_spec()->add_taints()->set_key("gpu");
  node.mutable_status()->add_conditions()->set_type("DiskPressure");
  node.mutable_status()->add_addresses()->set_address("10.0.0.1");
  (*node.mutable_status()->mutable_capacity())["cpu"].set_string("4");
  api_.Put(node);
  Start();

  const NodeSight& sight = view_.nodes().at("a");
  EXPECT_THAT(sight.images, ElementsAre("docker.io/library/log:1", "docker.io/library/other:2"));
  const corev1::Node& kept = *sight.node;
  EXPECT_EQ(kept.metadata().annotations_size(), 0);
  EXPECT_EQ(kept.metadata().labels().at("kubernetes.io/hostname"), "a");
  EXPECT_EQ(kept.spec().taints_size(), 1);
  ASSERT_EQ(kept.status().conditions_size(), 1);
  EXPECT_EQ(kept.status().conditions(0).type(), "Ready");
  EXPECT_EQ(kept.status().addresses_size(), 0);
  EXPECT_EQ(kept.status().capacity_size(), 0);
}

TEST_F(ClusterViewTest, AHeartbeatOfANodeIsNoChange) {
  corev1::Node node = MakeNode("a");
  for (int i = 0; i < 40; ++i) (*node.mutable_metadata()->mutable_labels())[fmt::format("label-{}", i)] = "x";
  api_.Put(node);
  Start();
  view_.TakeChanges();
  for (int i = 0; i < 20; ++i) {
    auto& ready = *node.mutable_status()->mutable_conditions(0);
    ready.mutable_lastheartbeattime()->set_seconds(1'800'000'000 + i);
    api_.Put(node);
    Pass(seconds(1));
    const ClusterView::Changes changes = view_.TakeChanges();
    EXPECT_FALSE(changes.all) << "heartbeat " << i;
  }
}

TEST_F(ClusterViewTest, ChangesNameTheDaemonSetsAndNamespacesThatTheyConcern) {
  api_.Put(MakeNode("a"));
  Start();
  view_.TakeChanges();

  api_.Put(MakePod(set_, "a"));
  Pass(milliseconds(10));
  ClusterView::Changes changes = view_.TakeChanges();
  EXPECT_THAT(changes.daemon_sets, ElementsAre("set-uid"));
  EXPECT_FALSE(changes.all);

  appsv1::ControllerRevision revision;
  revision.mutable_metadata()->set_name("log-1");
  revision.mutable_metadata()->set_namespace_("logging");
  api_.Put(revision);
  Pass(milliseconds(10));
  changes = view_.TakeChanges();
  EXPECT_THAT(changes.namespaces, ElementsAre("logging"));
  EXPECT_THAT(view_.RevisionsIn("logging"), SizeIs(1));
  EXPECT_THAT(view_.RevisionsIn("default"), IsEmpty());

  api_.Remove<corev1::Pod>({"default", "log-a-1"});
  Pass(milliseconds(10));
  changes = view_.TakeChanges();
  EXPECT_THAT(changes.daemon_sets, ElementsAre("set-uid"));
  EXPECT_THAT(view_.PodsOf("set-uid"), IsEmpty());

  api_.Remove<corev1::Node>({"", "a"});
  Pass(milliseconds(10));
  EXPECT_TRUE(view_.TakeChanges().all);
  EXPECT_THAT(view_.nodes(), IsEmpty());
}

TEST_F(ClusterViewTest, APodBelongsToWhoControlsItNow) {
  api_.Put(MakePod(set_, "a"));
  Start();
  ASSERT_THAT(view_.PodsOf("set-uid"), SizeIs(1));
  view_.TakeChanges();
  appsv1::DaemonSet other = set_;
  other.mutable_metadata()->set_uid("other-uid");
  api_.Put(MakePod(other, "a"));
  Pass(milliseconds(10));
  EXPECT_THAT(view_.PodsOf("set-uid"), IsEmpty());
  EXPECT_THAT(view_.PodsOf("other-uid"), SizeIs(1));
  EXPECT_THAT(view_.TakeChanges().daemon_sets, ElementsAre("other-uid", "set-uid"));
}

// ---- Readiness, by our own clock

class ReadyOnAnotherClock : public ClusterViewTest, public ::testing::WithParamInterface<int> {};

TEST_P(ReadyOnAnotherClock, APodThatBecomesReadyWhileItIsSeenDoesSoNow) {  // RO-03
  const seconds off(GetParam());
  Start();
  corev1::Pod pod = MakePod(set_, "a");
  SetReady(pod, false, wall() + off);
  api_.Put(pod);
  Pass(minutes(5));
  SetReady(pod, true, wall() + off);
  api_.Put(pod);
  Pass(seconds(3));
  EXPECT_EQ(ReadyFor("a"), seconds(3));
  // Not ready for less than what the node's clock tells.
  Pass(minutes(1));
  SetReady(pod, false, wall() + off);
  api_.Put(pod);
  Pass(minutes(1));
  SetReady(pod, true, wall() + off);
  api_.Put(pod);
  Pass(seconds(2));
  EXPECT_EQ(ReadyFor("a"), seconds(2));
}

TEST_P(ReadyOnAnotherClock, APodThatIsNewIsReadyNoLongerThanTheWatchGoesBack) {  // RO-03
  const seconds off(GetParam());
  Start();
  Pass(seconds(20));
  corev1::Pod pod = MakePod(set_, "a");
  SetReady(pod, true, wall() + off);
  api_.Put(pod);
  Pass(seconds(1));
  EXPECT_LE(ReadyFor("a"), seconds(22));
  EXPECT_GE(ReadyFor("a"), seconds(1));
}

TEST_P(ReadyOnAnotherClock, WhatHappenedInAGapOfTheWatchIsJudgedByThePodsOwnTimes) {
  const seconds off(GetParam());
  corev1::Pod pod = MakePod(set_, "a");
  SetReady(pod, false, wall() + off);
  api_.Put(pod);
  Start();
  Pass(minutes(10));
  for (const std::string call : {"WATCH pods", "LIST pods"}) api_.Refuse(call, Forbidden());
  api_.BreakWatches<corev1::Pod>();
  Pass(seconds(1));
  SetReady(pod, true, wall() + off);
  api_.Put(pod);
  api_.Compact<corev1::Pod>();
  const MonoTime became = loop_.timeline().mono();
  Pass(minutes(3));
  api_.Heal();
  Pass(minutes(5));
  ASSERT_TRUE(view_.live());
  const Nanoseconds truth = loop_.timeline().mono() - became;
  EXPECT_LE(ReadyFor("a"), truth - off + seconds(1));
  EXPECT_GE(ReadyFor("a"), truth - off - seconds(1));
}

INSTANTIATE_TEST_SUITE_P(ClockOfTheNode, ReadyOnAnotherClock, ::testing::Values(-90, 0, 90), [](const auto& each) {
  return each.param < 0 ? "Behind" : each.param > 0 ? "Ahead" : "Right";
});

TEST_F(ClusterViewTest, WhatWasReadyBeforeWeLookedIsBelieved) {
  corev1::Pod pod = MakePod(set_, "a");
  SetReady(pod, true, wall() - minutes(10));
  api_.Put(pod);
  Start();
  EXPECT_GE(ReadyFor("a"), minutes(10));
}

// ---- Dead nodes

TEST_F(ClusterViewTest, ANodeWhoseReadyConditionIsNotTrueIsDeadSinceThen) {
  const WallTime since = wall() - minutes(3);
  corev1::Node unknown = MakeNode("a"), without = MakeNode("b");
  SetReady(unknown, "Unknown", since);
  SetReady(without, "", since);
  api_.Put(unknown);
  api_.Put(without);
  api_.Put(MakeNode("c"));
  Renew({"a", "b", "c"});
  Start();
  EXPECT_EQ(*view_.nodes().at("a").dead_since, std::chrono::floor<seconds>(since));
  EXPECT_TRUE(IsDead("b"));
  EXPECT_FALSE(IsDead("c"));
}

TEST_F(ClusterViewTest, ANodeThatRenewsNoMoreIsDeadByOurOwnClock) {
  for (const std::string node : {"a", "b"}) api_.Put(MakeNode(node));
  Renew({"a", "b"});
  Start();
  loop_.timeline().JumpWall(-std::chrono::hours(1));
  for (int i = 0; i < 3; ++i) {
    Renew({"a"});
    Pass(seconds(10));
  }
  EXPECT_FALSE(IsDead("b"));
  loop_.timeline().JumpWall(std::chrono::hours(2));
  Renew({"a"});
  Pass(milliseconds(500));
  EXPECT_FALSE(IsDead("b"));
  view_.TakeChanges();
  for (int i = 0; i < 2; ++i) {
    Renew({"a"});
    Pass(seconds(10));
  }
  EXPECT_TRUE(IsDead("b"));
  EXPECT_FALSE(IsDead("a"));
  EXPECT_TRUE(view_.TakeChanges().all);

  Renew({"a", "b"});
  Pass(seconds(10));
  EXPECT_FALSE(IsDead("b"));
  EXPECT_TRUE(view_.TakeChanges().all);
}

TEST_F(ClusterViewTest, ANodeThatIsNewIsAliveWhateverItsClockSays) {
  api_.Put(MakeNode("a"));
  Renew({"a"});
  Start();
  Pass(seconds(5));
  api_.Put(MakeNode("b"));
  api_.Put(MakeNodeLease("b", wall() - seconds(90)));
  for (int i = 0; i < 4; ++i) {
    Pass(seconds(9));
    EXPECT_FALSE(IsDead("b"));
  }
  Pass(seconds(20));  // but it has to renew
  EXPECT_TRUE(IsDead("b"));
}

TEST_F(ClusterViewTest, ANodeThatHasLongBeenDeadIsSoAtTheFirstLook) {
  for (const std::string node : {"a", "b"}) api_.Put(MakeNode(node));
  Renew({"a"});
  api_.Put(MakeNodeLease("b", wall() - minutes(10)));
  Start();
  EXPECT_FALSE(IsDead("a"));
  EXPECT_TRUE(IsDead("b"));
}

TEST_F(ClusterViewTest, ANodeWithoutALeaseGoesByItsReadyCondition) {
  api_.Put(MakeNode("a"));
  Start();
  Pass(minutes(10));
  EXPECT_FALSE(IsDead("a"));
}

TEST_F(ClusterViewTest, WhereLeasesAreRefusedTheReadyConditionAloneDecides) {
  for (const std::string node : {"a", "b"}) api_.Put(MakeNode(node));
  Renew({"a", "b"});
  api_.Refuse("LIST leases", Forbidden());
  Start();
  EXPECT_TRUE(view_.complete());
  EXPECT_THAT(view_.problem(), HasSubstr("leases"));
  Pass(minutes(10));
  EXPECT_FALSE(IsDead("a"));
  corev1::Node node = MakeNode("b");
  SetReady(node, "False", wall());
  api_.Put(node);
  Pass(milliseconds(10));
  EXPECT_TRUE(IsDead("b"));
}

TEST_F(ClusterViewTest, LeasesThatAreRefusedLaterCountNoMore) {
  api_.Put(MakeNode("a"));
  Renew({"a"});
  Start();
  Pass(minutes(2));
  ASSERT_TRUE(IsDead("a"));
  api_.Refuse("LIST leases", Forbidden());
  Pass(seconds(21));
  EXPECT_FALSE(IsDead("a"));
}

TEST_F(ClusterViewTest, AServerThatFailsForAWhileMakesNobodyDeadAndNobodyAlive) {
  for (const std::string node : {"a", "b"}) api_.Put(MakeNode(node));
  Renew({"a", "b"});
  Start();
  for (int i = 0; i < 12; ++i) {
    Renew({"a"});
    Pass(seconds(10));
  }
  ASSERT_TRUE(IsDead("b"));
  api_.Refuse("LIST leases", testing::StatusResponse(503, "ServiceUnavailable", "not now"));
  Pass(minutes(2));
  EXPECT_TRUE(IsDead("b"));
  EXPECT_FALSE(IsDead("a"));
  api_.Heal();
  Renew({"a"});
  Pass(seconds(21));
  EXPECT_FALSE(IsDead("a"));
  EXPECT_EQ(view_.problem(), "");
}

TEST_F(ClusterViewTest, LeasesOfALargeClusterAreReadByPagesAndLessOften) {
  for (int i = 0; i < 1200; ++i) {
    const std::string name = fmt::format("n{:04}", i);
    api_.Put(MakeNode(name));
    api_.Put(MakeNodeLease(name, wall()));
  }
  Start();
  EXPECT_EQ(api_.Count("LIST leases"), 3);
  api_.ForgetCalls();
  Pass(seconds(240));  // looks every 24 s
  EXPECT_GE(api_.Count("LIST leases"), 9 * 3);
  EXPECT_LE(api_.Count("LIST leases"), 10 * 3);
}

}  // namespace
}  // namespace daemonsetd::rollout
