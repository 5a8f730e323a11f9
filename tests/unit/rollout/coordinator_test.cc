#include "agent/rollout/coordinator.h"

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/api_time.h"
#include "tests/support/loop.h"
#include "tests/unit/rollout/cluster_api.h"
#include "tests/unit/rollout/cluster_objects.h"

namespace daemonsetd::rollout {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kLeaseGets[] = "GET leases/daemonsetd-coordinator";

// An agent's coordinator, with a watch of DaemonSets of its own.
struct Agent {
  Agent(testing::TestLoop& loop, ClusterApi& api, const std::string& node, int shards)
      : client(api, limiter, loop.timeline()),
        limiter(loop.executor(), loop.timeline(), {}),
        sets(client, loop.timeline(), [] { return 0.0; }, {},
             {.on_change = [this](const auto&) { Notify(); }, .on_complete = [this] { Notify(); }, .on_state = [] {}}) {
    coordinator = std::make_unique<Coordinator>(
        loop.executor(), loop.timeline(), client, [] { return 0.0; },
        CoordinatorSettings{.node_name = node, .shards = shards, .tenure = {.image_wait = Nanoseconds::zero()}},
        [this]() -> std::optional<std::vector<RolloutSet::DaemonSetPtr>> {
          if (!sets.synced()) return std::nullopt;
          return sets.All();
        },
        [](const auto&, auto, const auto&, const auto&) {}, [this] { ++changes; });
    watching = loop.Start(sets.Run());
    running = loop.Start(coordinator->Run());
  }
  void Notify() {
    if (coordinator) coordinator->Notify();
  }

  kube::Client client;
  kube::RequestLimiter limiter;
  kube::Reflector<appsv1::DaemonSet> sets;
  std::unique_ptr<Coordinator> coordinator;
  int changes = 0;
  std::shared_ptr<testing::Started<void>> watching, running;
};

class CoordinatorTest : public ::testing::Test {
 protected:
  CoordinatorTest() {
    api_.Put(MakeNode("a"));
    api_.Put(MakeNode("b"));
  }
  ~CoordinatorTest() override {
    api_.Heal();
    while (!agents_.empty()) Stop();
  }

  Agent& StartAgent(const std::string& node, int shards = 1) {
    agents_.push_back(std::make_unique<Agent>(loop_, api_, node, shards));
    Pass(milliseconds(10));
    return *agents_.back();
  }
  // The first of them that runs.
  void Stop() {
    const std::unique_ptr<Agent> agent = std::move(agents_.front());
    agents_.erase(agents_.begin());
    loop_.Cancel(agent->running);
    loop_.Cancel(agent->watching);
    for (int i = 0; i < 50 && !agent->running->done(); ++i) Pass(milliseconds(100));
    EXPECT_TRUE(agent->running->done());
  }
  void Pass(Nanoseconds time) { loop_.Advance(time); }
  Now now() { return loop_.timeline().Read(); }

  // A DaemonSet in this shard of two, with a pod of its present template on each node.
  kube::NamespacedName PutSet(int shard, const std::string& name) {
    appsv1::DaemonSet set = MakeSet(name);
    for (int i = 0;; ++i) {
      set.mutable_metadata()->set_uid(fmt::format("{}-{}", name, i));
      if (decide::ShardOf(set.metadata().uid(), 2) == shard) break;
    }
    api_.Put(set);
    for (const std::string node : {"a", "b"}) {
      corev1::Pod pod = MakePod(set, node);
      SetReady(pod, true, now().wall - std::chrono::hours(1));
      api_.Put(pod);
    }
    return {"default", name};
  }
  void UpdateImage(const kube::NamespacedName& name, const std::string& image) {
    auto set = api_.At<appsv1::DaemonSet>(name);
    SetImage(set, image);
    api_.Put(set);
  }
  std::int64_t Observed(const kube::NamespacedName& name) {
    return api_.At<appsv1::DaemonSet>(name).status().observedgeneration();
  }

  // As another agent that holds the Lease renews it.
  void OtherRenews(const std::string& holder, const std::string& standbys = "", int shard = 0, int shards = 1) {
    coordinationv1::Lease lease;
    lease.mutable_metadata()->set_namespace_("kube-system");
    lease.mutable_metadata()->set_name(decide::CoordinatorLeaseName(shard, shards));
    if (!standbys.empty()) (*lease.mutable_metadata()->mutable_annotations())[decide::kStandbysAnnotation] = standbys;
    lease.mutable_spec()->set_holderidentity(holder);
    lease.mutable_spec()->set_leasedurationseconds(10);
    *lease.mutable_spec()->mutable_renewtime() = decide::ToApiMicroTime(now().wall);
    api_.Put(lease);
  }
  coordinationv1::Lease LeaseOf(int shard = 0, int shards = 1) {
    return api_.At<coordinationv1::Lease>({"kube-system", decide::CoordinatorLeaseName(shard, shards)});
  }
  std::string Holder(int shard = 0, int shards = 1) { return LeaseOf(shard, shards).spec().holderidentity(); }

  testing::TestLoop loop_;
  ClusterApi api_{loop_.executor(), loop_.timeline()};
  std::vector<std::unique_ptr<Agent>> agents_;
};

TEST_F(CoordinatorTest, WhoHoldsTheLeaseWatchesTheClusterAndWritesTheStatus) {
  const auto log = PutSet(0, "log");
  Agent& agent = StartAgent("a");
  EXPECT_EQ(Holder(), "a");
  EXPECT_EQ(Observed(log), 1);
  EXPECT_EQ(api_.Count("WATCH pods"), 1);
  EXPECT_EQ(agent.coordinator->StatusText(), "coordinates");
  EXPECT_EQ(agent.coordinator->Problem(), "");
  EXPECT_GE(agent.changes, 1);
}

TEST_F(CoordinatorTest, AStandbyAndABystanderWatchNothingAndWriteNothing) {
  const auto log = PutSet(0, "log");
  StartAgent("a");
  Agent& standby = StartAgent("b");
  StartAgent("c");
  Agent& bystander = StartAgent("d");
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("WATCH pods"), 1);  // of a
  EXPECT_EQ(standby.coordinator->StatusText(), "stands by for a");
  EXPECT_EQ(bystander.coordinator->StatusText(), "a coordinates");
  UpdateImage(log, "log:2");
  Pass(minutes(1));
  EXPECT_EQ(api_.Count("DELETE pods"), 1);
  EXPECT_EQ(Observed(log), 2);
}

TEST_F(CoordinatorTest, WithoutTheRightItSaysSoAndHasNoProblem) {
  api_.Refuse("GET leases", Forbidden());
  Agent& agent = StartAgent("a");
  Pass(minutes(1));
  EXPECT_EQ(agent.coordinator->StatusText(), "not permitted here");
  EXPECT_EQ(agent.coordinator->Problem(), "");
}

TEST_F(CoordinatorTest, AProblemOfTheWatchesIsItsProblem) {
  api_.Refuse("WATCH nodes", Forbidden());
  api_.Refuse("LIST nodes", Forbidden());
  Agent& agent = StartAgent("a");
  Pass(seconds(5));
  EXPECT_THAT(agent.coordinator->Problem(), HasSubstr("nodes"));
}

TEST_F(CoordinatorTest, WhoLosesTheLeaseStopsWatchingAndWriting) {
  const auto log = PutSet(0, "log");
  Agent& agent = StartAgent("a");
  Pass(seconds(5));
  ASSERT_EQ(api_.open_watches(), 4);  // nodes, pods, revisions, and every agent's DaemonSets
  OtherRenews("x", "y,z");            // as after an agent that was cut off
  Pass(seconds(5));
  EXPECT_EQ(api_.open_watches(), 1);
  EXPECT_EQ(agent.coordinator->StatusText(), "x coordinates");
  api_.ForgetCalls();
  UpdateImage(log, "log:2");
  Pass(seconds(10));
  EXPECT_THAT(api_.Writes(), IsEmpty());
}

TEST_F(CoordinatorTest, CallsUnderWayAreOverWhenTheTenureIs) {
  const auto log = PutSet(0, "log");
  StartAgent("a");
  Pass(seconds(5));
  api_.Delay("DELETE pods", seconds(8));
  UpdateImage(log, "log:2");
  Pass(milliseconds(10));
  ASSERT_EQ(api_.under_way(), 1);
  OtherRenews("x", "y,z");
  Pass(seconds(5));  // the next renewal finds out
  EXPECT_EQ(api_.under_way(), 0);
  EXPECT_EQ(api_.open_watches(), 1);
}

TEST_F(CoordinatorTest, TheHoldEndsByTimeWhenTheServerIsGone) {
  const auto log = PutSet(0, "log");
  StartAgent("a");
  Pass(seconds(5));
  api_.Silence("PUT leases");
  api_.Silence("GET leases");
  Pass(seconds(8));
  EXPECT_EQ(api_.open_watches(), 1);
  api_.ForgetCalls();
  UpdateImage(log, "log:2");
  Pass(seconds(30));
  EXPECT_EQ(api_.Count("DELETE pods"), 0);
  EXPECT_EQ(api_.Count("PUT daemonsets"), 0);

  api_.Heal();
  Pass(seconds(30));
  EXPECT_EQ(api_.Count("DELETE pods"), 1);
  EXPECT_EQ(Observed(log), 2);
}

TEST_F(CoordinatorTest, WhoTakesOverGoesOnWithTheRolloutFromWhatTheClusterSays) {
  const auto log = PutSet(0, "log");
  StartAgent("a");
  StartAgent("b");
  UpdateImage(log, "log:2");
  Pass(seconds(1));
  ASSERT_EQ(api_.Count("DELETE pods"), 1);
  Stop();  // a
  Pass(seconds(5));
  EXPECT_EQ(Holder(), "b");
  EXPECT_EQ(api_.Count("DELETE pods"), 1);  // the first pod is still on its way out
  api_.Remove<corev1::Pod>({"default", "log-a-1"});
  corev1::Pod pod = MakePod(api_.At<appsv1::DaemonSet>(log), "a", 2);
  SetReady(pod, true, now().wall);
  api_.Put(pod);
  Pass(seconds(1));
  EXPECT_EQ(api_.Count("DELETE pods/log-b-1"), 1);
}

TEST_F(CoordinatorTest, StoppingReleasesTheLease) {
  StartAgent("a");
  Pass(seconds(5));
  Stop();
  EXPECT_EQ(Holder(), "");
  EXPECT_EQ(api_.open_watches(), 0);
}

TEST_F(CoordinatorTest, StoppingEndsAlthoughTheServerAnswersNoMore) {
  const auto log = PutSet(0, "log");
  StartAgent("a");
  Pass(seconds(5));
  api_.Silence("DELETE pods");
  UpdateImage(log, "log:2");
  Pass(milliseconds(10));
  for (const std::string call : {"GET", "PUT", "POST"}) api_.Silence(call);
  Stop();  // within five seconds
}

// ---- Shards

TEST_F(CoordinatorTest, EachShardIsWorkedOnByItsHolderOnly) {
  const auto first = PutSet(0, "first"), second = PutSet(1, "second");
  OtherRenews("x", "y,z", 1, 2);
  Agent& agent = StartAgent("a", 2);
  Pass(seconds(5));
  EXPECT_EQ(Holder(0, 2), "a");
  EXPECT_EQ(Observed(first), 1);
  EXPECT_EQ(Observed(second), 0);
  EXPECT_EQ(agent.coordinator->StatusText(), "shard 0: coordinates, shard 1: x coordinates");
  UpdateImage(first, "log:2");
  UpdateImage(second, "log:2");
  OtherRenews("x", "y,z", 1, 2);
  Pass(seconds(5));
  EXPECT_EQ(api_.Count("DELETE pods/first"), 1);
  EXPECT_EQ(api_.Count("DELETE pods/second"), 0);
  EXPECT_EQ(api_.Count("PUT daemonsets/second"), 0);
}

TEST_F(CoordinatorTest, AShardThatIsTakenLaterIsWorkedOnAtOnce) {
  const auto first = PutSet(0, "first"), second = PutSet(1, "second");
  OtherRenews("x", "a", 1, 2);
  StartAgent("a", 2);
  for (int i = 0; i < 6; ++i) {
    Pass(seconds(5));
    OtherRenews("x", "a", 1, 2);
  }
  ASSERT_EQ(Observed(first), 1);
  ASSERT_EQ(Observed(second), 0);
  for (int i = 0; i < 200 && Holder(1, 2) != "a"; ++i) Pass(milliseconds(100));  // x renews no more
  ASSERT_EQ(Holder(1, 2), "a");
  Pass(milliseconds(200));
  EXPECT_EQ(Observed(second), 1);
}

TEST_F(CoordinatorTest, TwoAgentsShareTheShardsOfOneCluster) {
  const auto first = PutSet(0, "first"), second = PutSet(1, "second");
  OtherRenews("b", "y,z", 1, 2);  // of its former life
  Agent& one = StartAgent("a", 2);
  Agent& other = StartAgent("b", 2);
  Pass(seconds(20));
  EXPECT_EQ(one.coordinator->StatusText(), "shard 0: coordinates, shard 1: b coordinates");
  EXPECT_EQ(other.coordinator->StatusText(), "shard 0: stands by for a, shard 1: coordinates");
  EXPECT_EQ(Observed(first), 1);
  EXPECT_EQ(Observed(second), 1);
  UpdateImage(first, "log:2");
  UpdateImage(second, "log:2");
  Pass(seconds(10));
  EXPECT_EQ(api_.Count("DELETE pods/first"), 1);
  EXPECT_EQ(api_.Count("DELETE pods/second"), 1);
}

TEST_F(CoordinatorTest, AShardThatIsLostIsLeftAloneWhileTheOtherGoesOn) {
  const auto first = PutSet(0, "first"), second = PutSet(1, "second");
  StartAgent("a", 2);
  Pass(seconds(2));
  ASSERT_EQ(Observed(second), 1);
  OtherRenews("x", "y,z", 1, 2);
  Pass(seconds(5));
  OtherRenews("x", "y,z", 1, 2);
  api_.ForgetCalls();
  UpdateImage(first, "log:2");
  UpdateImage(second, "log:2");
  Pass(seconds(5));
  EXPECT_EQ(api_.Count("DELETE pods/first"), 1);
  EXPECT_EQ(api_.Count("DELETE pods/second"), 0);
  EXPECT_EQ(Observed(second), 1);
}

// ---- Bystanders

TEST_F(CoordinatorTest, AGenerationThatNobodyObservesMakesABystanderLook) {
  const auto log = PutSet(0, "log");
  OtherRenews("x", "y,z");
  StartAgent("a");
  ASSERT_EQ(api_.Count(kLeaseGets), 1);
  Pass(seconds(14));
  EXPECT_EQ(api_.Count(kLeaseGets), 1);
  Pass(seconds(12));
  EXPECT_GE(api_.Count(kLeaseGets), 2);
  for (int i = 0; i < 60 && Holder() != "a"; ++i) Pass(seconds(1));  // x, y and z are gone
  EXPECT_EQ(Holder(), "a");
  Pass(seconds(1));
  EXPECT_EQ(Observed(log), 1);
}

TEST_F(CoordinatorTest, AGenerationThatIsObservedInTimeCostsABystanderNothing) {
  const auto log = PutSet(0, "log");
  OtherRenews("x", "y,z");
  StartAgent("a");
  for (int generation = 1; generation <= 5; ++generation) {
    Pass(seconds(10));
    auto set = api_.At<appsv1::DaemonSet>(log);
    set.mutable_status()->set_observedgeneration(generation);
    api_.Put(set);
    Pass(seconds(5));
    UpdateImage(log, fmt::format("log:{}", generation + 1));
  }
  EXPECT_EQ(api_.Count(kLeaseGets), 1);
}

TEST_F(CoordinatorTest, AGenerationThatStaysUnobservedCostsABystanderALookInAMinuteOrSo) {
  PutSet(0, "log");
  OtherRenews("x", "y,z");
  StartAgent("a");
  for (int i = 0; i < 150; ++i) {  // ten minutes: x lives, and does not observe it
    Pass(seconds(4));
    OtherRenews("x", "y,z");
  }
  EXPECT_LE(api_.Count(kLeaseGets), 45);
  EXPECT_EQ(Holder(), "x");
}

}  // namespace
}  // namespace daemonsetd::rollout
