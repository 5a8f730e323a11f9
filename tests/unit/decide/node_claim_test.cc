#include "agent/decide/node_claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/api_time.h"

namespace daemonsetd::decide {
namespace {

using ::testing::HasSubstr;
using Answer = NodeClaim::Answer;

class ClaimNodeTest : public ::testing::Test {
 protected:
  ClaimNodeTest() {
    node.mutable_metadata()->set_name("node-a");
    node.mutable_status()->mutable_nodeinfo()->set_machineid("machine-1");
    node.mutable_status()->mutable_nodeinfo()->set_kubeletversion("v1.37.2");
  }
  void MadeByUs(const std::string& machine) {
    (*node.mutable_metadata()->mutable_annotations())[kAgentVersionAnnotation] = "v0.1.0";
    node.mutable_status()->mutable_nodeinfo()->set_machineid(machine);
  }
  void Renew(const std::string& identity, Seconds at) {
    lease.mutable_spec()->set_holderidentity(identity);
    lease.mutable_spec()->set_leasedurationseconds(40);
    *lease.mutable_spec()->mutable_renewtime() = ToApiMicroTime(WallTime(Seconds(100'000) + at));
  }
  NodeClaim Claim(Seconds at) { return Claim(&node, &lease, at); }
  NodeClaim Claim(const corev1::Node* a_node, const coordinationv1::Lease* a_lease, Seconds at) {
    const Now now{.mono = MonoTime(at), .wall = WallTime(Seconds(100'000) + at)};
    return ClaimNode(a_node, a_lease, "node-a", holder, "machine-1", now, memory);
  }

  const std::string holder = LeaseHolder("node-a", "machine-1");
  corev1::Node node;
  coordinationv1::Lease lease;
  ClaimMemory memory;
};

TEST_F(ClaimNodeTest, AFreeNameIsOurs) { EXPECT_EQ(Claim(nullptr, nullptr, Seconds(0)).answer, Answer::kOurs); }

TEST_F(ClaimNodeTest, ARestartFindsItsOwnNode) {
  MadeByUs("machine-1");
  EXPECT_EQ(Claim(&node, nullptr, Seconds(0)).answer, Answer::kOurs) << "the Lease was deleted";
  Renew(holder, Seconds(-5));
  EXPECT_EQ(Claim(Seconds(0)).answer, Answer::kOurs);
}

TEST_F(ClaimNodeTest, ALiveKubeletIsNotPushedAside) {
  Renew("node-a", Seconds(-5));
  const NodeClaim claim = Claim(Seconds(0));
  EXPECT_EQ(claim.answer, Answer::kRefused);
  EXPECT_THAT(claim.message, HasSubstr("the Node node-a is held by a kubelet v1.37.2, Lease holder node-a; stop it"));
}

TEST_F(ClaimNodeTest, AKubeletThatIsGoneIsSucceededAfterAWatch) {
  Renew("node-a", Seconds(-3600));
  EXPECT_EQ(Claim(Seconds(0)).answer, Answer::kWatch);
  EXPECT_EQ(Claim(Seconds(39)).answer, Answer::kWatch);
  EXPECT_EQ(Claim(Seconds(40)).answer, Answer::kTakeOver);
}

TEST_F(ClaimNodeTest, AKubeletWhoseClockIsBehindIsSeenToBeAlive) {
  Renew("node-a", Seconds(-3600));
  EXPECT_EQ(Claim(Seconds(0)).answer, Answer::kWatch);
  Renew("node-a", Seconds(-3590));
  EXPECT_EQ(Claim(Seconds(10)).answer, Answer::kRefused);
  EXPECT_EQ(Claim(Seconds(49)).answer, Answer::kRefused);
  EXPECT_EQ(Claim(Seconds(50)).answer, Answer::kTakeOver) << "and then it went";
}

TEST_F(ClaimNodeTest, ALeaseFromTheFutureIsSucceededOnceItStandsStill) {
  Renew("node-a", Seconds(3600));
  EXPECT_EQ(Claim(Seconds(0)).answer, Answer::kRefused);
  EXPECT_EQ(Claim(Seconds(41)).answer, Answer::kTakeOver);
}

TEST_F(ClaimNodeTest, TwoMachinesUnderOneNameAreToldApart) {
  MadeByUs("machine-2");
  Renew(LeaseHolder("node-a", "machine-2"), Seconds(0));
  const NodeClaim claim = Claim(Seconds(1));
  EXPECT_EQ(claim.answer, Answer::kRefused);
  EXPECT_THAT(claim.message, HasSubstr("a daemonsetd v0.1.0 on the machine machine-2"));
  EXPECT_THAT(claim.message, HasSubstr("another nodeName"));
}

TEST_F(ClaimNodeTest, ANodeOfAKubeletWithoutALeaseIsWatchedFirst) {
  EXPECT_EQ(Claim(&node, nullptr, Seconds(0)).answer, Answer::kWatch);
  EXPECT_EQ(Claim(&node, nullptr, Seconds(40)).answer, Answer::kTakeOver);
}

// ---- The Lease

TEST(NodeLease, IsCreatedWithItsNodeAsOwner) {
  const LeaseWrite write = RenewLease("node-a", "uid-1", "me", Seconds(40), nullptr, WallTime(Seconds(7)));
  EXPECT_EQ(write.kind, LeaseWrite::Kind::kCreate);
  EXPECT_EQ(write.lease.metadata().namespace_(), "kube-node-lease");
  EXPECT_EQ(write.lease.metadata().ownerreferences(0).uid(), "uid-1");
  EXPECT_EQ(write.lease.spec().holderidentity(), "me");
  EXPECT_EQ(write.lease.spec().leasedurationseconds(), 40);
  EXPECT_EQ(write.lease.spec().renewtime().seconds(), 7);
  EXPECT_EQ(write.lease.spec().leasetransitions(), 0);
}

TEST(NodeLease, ARenewalKeepsWhatOthersWroteAndFollowsTheNode) {
  coordinationv1::Lease lease = RenewLease("node-a", "uid-1", "me", Seconds(40), nullptr, WallTime(Seconds(7))).lease;
  lease.mutable_metadata()->set_resourceversion("9");
  (*lease.mutable_metadata()->mutable_labels())["a"] = "b";
  const LeaseWrite write = RenewLease("node-a", "uid-2", "me", Seconds(40), &lease, WallTime(Seconds(27)));
  EXPECT_EQ(write.kind, LeaseWrite::Kind::kUpdate);
  EXPECT_EQ(write.lease.metadata().resourceversion(), "9");
  EXPECT_TRUE(write.lease.metadata().labels().contains("a"));
  ASSERT_EQ(write.lease.metadata().ownerreferences_size(), 1);
  EXPECT_EQ(write.lease.metadata().ownerreferences(0).uid(), "uid-2");
  EXPECT_EQ(write.lease.spec().acquiretime().seconds(), 7);
  EXPECT_EQ(
      RenewLease("node-a", "uid-2", "you", Seconds(40), &lease, WallTime(Seconds(27))).lease.spec().leasetransitions(),
      1);
}

// An idle node has 5 requests a minute; ST-06: no gap of 40 s while single calls fail.
TEST(NodeLease, IsRenewedThriceAMinuteAndSoonerAfterAFailure) {
  const MonoTime start{std::chrono::hours(1)};
  EXPECT_EQ(NextRenewal(std::nullopt, start, 0, Seconds(40)), start);
  EXPECT_EQ(NextRenewal(start, start, 0, Seconds(40)), start + Seconds(20));
  EXPECT_EQ(NextRenewal(start, start + Seconds(20), 1, Seconds(40)), start + Seconds(22));
  EXPECT_EQ(NextRenewal(start, start + Seconds(22), 2, Seconds(40)), start + Seconds(26));
  EXPECT_EQ(NextRenewal(start, start + Seconds(26), 3, Seconds(40)), start + Seconds(33));
  EXPECT_EQ(NextRenewal(start, start, 1'000'000, Seconds(40)), start + Seconds(7));
}

}  // namespace
}  // namespace daemonsetd::decide
