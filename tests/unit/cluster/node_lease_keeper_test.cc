#include "agent/cluster/node_lease_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cluster/node_registrar_fixture.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Mishap = NodeApi::Mishap;

using NodeLeaseTest = NodeRegistrarTest;

TEST_F(NodeLeaseTest, AKubeletThatLivesIsNotPushedAside) {
  MakeKubelet();
  Start();
  for (int i = 0; i < 6; ++i) {
    loop.Advance(seconds(10));
    RenewAs("node-a");
  }
  EXPECT_FALSE(registrar->claimed());
  EXPECT_TRUE(registrar->observed());
  EXPECT_THAT(registrar->uid(), IsEmpty());
  EXPECT_THAT(registrar->problem(), HasSubstr("is held by a kubelet v1.37.2"));
  EXPECT_THAT(api.TakeCalls(), Each(Not(::testing::AnyOf(StartsWith("PUT"), StartsWith("POST")))));

  loop.Advance(seconds(50));
  EXPECT_TRUE(registrar->claimed()) << "it stood still for the Lease's duration";
  EXPECT_THAT(registrar->problem(), IsEmpty());
  EXPECT_EQ(api.lease()->spec().holderidentity(), decide::LeaseHolder("node-a", "machine-1"));
  EXPECT_EQ(api.lease()->spec().leasetransitions(), 1);
  EXPECT_EQ(Label("rack"), "r1");
  EXPECT_EQ(api.Count("POST nodes"), 0);
}

TEST_F(NodeLeaseTest, OfTwoThatComeAtOnceOneIsRefused) {
  api.Inject("POST leases", Mishap::kFails, testing::StatusResponse(409, "AlreadyExists", "the Lease exists"));
  api.Inject("GET leases/node-a", Mishap::kFails, Error(ErrorKind::kRetry, "connection refused"));
  Start();
  loop.Advance(seconds(2));
  RenewAs("node-a_daemonsetd_other");
  loop.Advance(seconds(5));
  EXPECT_FALSE(registrar->claimed());
  EXPECT_THAT(registrar->problem(), HasSubstr("node-a_daemonsetd_other"));
  EXPECT_FALSE(api.node()) << "nothing is written under a name that another one holds";
}

TEST_F(NodeLeaseTest, RenewsTheLeaseThreeTimesAMinute) {
  Start();
  const std::size_t before = api.renewals().size();
  loop.Advance(minutes(2));
  EXPECT_EQ(api.renewals().size() - before, 6U);
  EXPECT_EQ(api.Count("GET leases/node-a"), 1) << "read once, then written from what was written";
}

TEST_F(NodeLeaseTest, ALeaseThatFailsIsTriedAgainSoonAndTheProblemIsTold) {
  Start();
  loop.Advance(seconds(19));
  api.TakeCalls();
  api.Inject("PUT leases/node-a", Mishap::kFails, Error(ErrorKind::kRetry, "connection refused"), 3);
  loop.Advance(seconds(2));
  EXPECT_THAT(registrar->problem(), HasSubstr("update leases kube-node-lease/node-a: connection refused"));
  EXPECT_TRUE(registrar->lease_held());
  std::vector<MonoTime> tries;
  const std::size_t from = api.calls().size() - 1;
  loop.Advance(seconds(16));
  for (std::size_t i = from; i < api.calls().size(); ++i) tries.push_back(api.calls()[i].at);
  ASSERT_EQ(tries.size(), 4U);
  EXPECT_EQ(tries[1] - tries[0], seconds(2));
  EXPECT_EQ(tries[2] - tries[1], seconds(4));
  EXPECT_EQ(tries[3] - tries[2], seconds(7));
  EXPECT_THAT(registrar->problem(), IsEmpty());
}

TEST_F(NodeLeaseTest, ALeaseThatSomebodyElseEditedIsReadAgainAndRenewed) {
  Start();
  Lease lease = *api.lease();
  (*lease.mutable_metadata()->mutable_labels())["team"] = "storage";
  api.PutLease(lease);
  api.TakeCalls();
  loop.Advance(seconds(21));
  EXPECT_THAT(api.TakeCalls(),
              ::testing::IsSupersetOf({"PUT leases/node-a", "GET leases/node-a", "PUT leases/node-a"}));
  EXPECT_EQ(decide::ValueOf(api.lease()->metadata().labels(), "team"), "storage");
  EXPECT_TRUE(registrar->claimed());
}

TEST_F(NodeLeaseTest, ALeaseThatSomebodyDeletedIsMadeAnew) {
  Start();
  api.DeleteLease();
  loop.Advance(seconds(21));
  ASSERT_TRUE(api.lease());
  EXPECT_EQ(LeaseOwner(), "uid-1");
  EXPECT_TRUE(registrar->claimed());
}

TEST_F(NodeLeaseTest, AKubeletThatTakesTheLeaseLaterEndsTheClaim) {
  Start();
  loop.Advance(seconds(6));
  RenewAs("node-a");
  loop.Advance(seconds(15));
  EXPECT_FALSE(registrar->claimed());
  EXPECT_THAT(registrar->uid(), IsEmpty());
  EXPECT_THAT(registrar->problem(), HasSubstr("Lease holder node-a"));
  api.TakeCalls();
  runtime.SetNetworkReady(false);
  loop.Advance(seconds(15));
  EXPECT_THAT(api.TakeCalls(), Each(std::string("GET leases/node-a"))) << "nothing is written";
}

TEST_F(NodeLeaseTest, ST06_NeitherASlowServerNorAHungRuntimeDelaysTheLease) {
  Start();
  loop.Advance(seconds(10));
  runtime.Inject("*", testing::Fault::Hang(), 1000);
  api.set_delay(seconds(8));
  loop.Advance(minutes(5));
  const std::vector<MonoTime> renewals = api.renewals();
  ASSERT_GT(renewals.size(), 8U);
  for (std::size_t i = 1; i < renewals.size(); ++i) EXPECT_LT(renewals[i] - renewals[i - 1], seconds(40));
  EXPECT_TRUE(registrar->lease_held());
}

TEST_F(NodeLeaseTest, ST07_AClockThatJumpsChangesNoInterval) {
  Start();
  loop.Advance(seconds(30));
  for (const hours jump : {hours(1), hours(-2), hours(1)}) {
    loop.timeline().JumpWall(jump);
    const std::size_t before = api.renewals().size();
    const int statuses = api.Count("PUT nodes/node-a/status");
    loop.Advance(minutes(2));
    EXPECT_EQ(api.renewals().size() - before, 6U);
    EXPECT_LE(api.Count("PUT nodes/node-a/status") - statuses, 1);
  }
  EXPECT_EQ(api.times_not_ready(), 0);
  EXPECT_TRUE(registrar->claimed());
}

TEST_F(NodeLeaseTest, CancelEndsItInEveryCallCleanly) {
  for (const std::string call : {"WATCH nodes", "GET leases/node-a", "POST leases", "PUT leases/node-a", "POST nodes",
                                 "PUT nodes/node-a", "PUT nodes/node-a/status", "GET nodes/node-a"}) {
    SCOPED_TRACE(call);
    api.ClearMishaps();
    api.DeleteNode();
    api.DeleteLease();
    api.Inject(call, Mishap::kNeverAnswers, {}, 1000);
    Start();
    loop.Advance(seconds(6));
    runtime.SetNetworkReady(false);
    api.SilenceWatch(true);
    if (api.node()) api.PutNode(*api.node());  // a conflict for the next write
    loop.Advance(seconds(6));
    Stop();
    EXPECT_EQ(loop.timeline().alarms(), 0U);
    runtime.SetNetworkReady(true);
    api.SilenceWatch(false);
  }
  for (const std::string method : {"Status", "ListImages", "ImageFsInfo"}) {
    SCOPED_TRACE(method);
    api.ClearMishaps();
    runtime.Inject(method, testing::Fault::Hang());
    Start();
    loop.Advance(seconds(3));
    Stop();
    EXPECT_EQ(loop.timeline().alarms(), 0U);
  }
}

TEST_F(NodeLeaseTest, CancelEndsItAtEveryMomentCleanly) {
  api.set_delay(Milliseconds(300));
  for (int step = 0; step < 40; ++step) {
    SCOPED_TRACE(step);
    api.DeleteNode();
    api.DeleteLease();
    Start();
    loop.Advance(Milliseconds(200) * step);
    Stop();
    EXPECT_EQ(loop.timeline().alarms(), 0U);
  }
}

}  // namespace
}  // namespace daemonsetd::cluster
