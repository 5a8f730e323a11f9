#include "agent/decide/certificate_approval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace daemonsetd::decide {
namespace {

using ::testing::HasSubstr;
using Answer = Approval::Answer;

constexpr char kAgent[] = "daemonsetd:node:edge-17";
constexpr char kNodes[] = "daemonsetd:nodes";
constexpr char kCoordinators[] = "daemonsetd:coordinators";
constexpr char kAuthenticated[] = "system:authenticated";

CertificateAsk Renewal() {
  return {.requester = kAgent,
          .requester_groups = {kNodes, kAuthenticated},
          .signer = "kubernetes.io/kube-apiserver-client",
          .usages = {"digital signature", "client auth"},
          .request = {.user = kAgent, .groups = {kNodes}, .plain = true, .strong_key = true, .signed_by_key = true}};
}

CertificateAsk Bootstrap() {
  CertificateAsk ask = Renewal();
  ask.requester = "system:bootstrap:abcdef";
  ask.requester_groups = {"system:bootstrappers", "system:bootstrappers:daemonsetd", kAuthenticated};
  return ask;
}

TEST(CertificateApproval, AnAgentRenewsItsOwn) {
  for (const ApproverMode mode : {ApproverMode::kRenewals, ApproverMode::kAll}) {
    const Approval approval = DecideApproval(Renewal(), mode);
    EXPECT_EQ(approval.answer, Answer::kApprove) << approval.reason;
    EXPECT_EQ(approval.node, "edge-17");
  }
  EXPECT_EQ(DecideApproval(Renewal(), ApproverMode::kOff).answer, Answer::kLeave);
}

TEST(CertificateApproval, OnlyACoordinatorStaysOne) {
  CertificateAsk ask = Renewal();
  ask.request.groups = {kCoordinators, kNodes};
  EXPECT_EQ(DecideApproval(ask, ApproverMode::kAll).answer, Answer::kLeave);
  ask.requester_groups.emplace_back(kCoordinators);
  EXPECT_EQ(DecideApproval(ask, ApproverMode::kRenewals).answer, Answer::kApprove);
}

TEST(CertificateApproval, ABootstrapTokenMakesNodesOnlyWhereThatIsAllowed) {
  const Approval approval = DecideApproval(Bootstrap(), ApproverMode::kAll);
  EXPECT_EQ(approval.answer, Answer::kApproveIfDead) << approval.reason;
  EXPECT_EQ(approval.node, "edge-17");
  EXPECT_EQ(DecideApproval(Bootstrap(), ApproverMode::kRenewals).answer, Answer::kLeave);
  CertificateAsk coordinator = Bootstrap();
  coordinator.request.groups = {kNodes, kCoordinators};
  EXPECT_EQ(DecideApproval(coordinator, ApproverMode::kAll).answer, Answer::kLeave);
  coordinator.requester_groups.emplace_back("system:bootstrappers:daemonsetd:coordinators");
  EXPECT_EQ(DecideApproval(coordinator, ApproverMode::kAll).answer, Answer::kApproveIfDead);
}

TEST(CertificateApproval, AnyOtherBootstrapTokenMakesNone) {
  CertificateAsk ask = Bootstrap();
  ask.requester_groups = {"system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token", kAuthenticated};
  EXPECT_EQ(DecideApproval(ask, ApproverMode::kAll).answer, Answer::kLeave);
}

struct Hostile {
  const char* name;
  std::function<void(CertificateAsk&)> change;
};

// Each begins with what would be approved.
const Hostile kHostile[] = {
    {"another signer", [](CertificateAsk& ask) { ask.signer = "kubernetes.io/kubelet-serving"; }},
    {"no signer", [](CertificateAsk& ask) { ask.signer = ""; }},
    {"a server's usage", [](CertificateAsk& ask) { ask.usages.emplace_back("server auth"); }},
    {"one usage twice", [](CertificateAsk& ask) { ask.usages = {"client auth", "client auth"}; }},
    {"no usage", [](CertificateAsk& ask) { ask.usages.clear(); }},
    {"masters besides", [](CertificateAsk& ask) { ask.request.groups.emplace_back("system:masters"); }},
    {"masters instead", [](CertificateAsk& ask) { ask.request.groups = {"system:masters"}; }},
    {"approvers", [](CertificateAsk& ask) { ask.request.groups.emplace_back("daemonsetd:approvers"); }},
    {"nodes twice", [](CertificateAsk& ask) { ask.request.groups = {kNodes, kNodes}; }},
    {"coordinators alone", [](CertificateAsk& ask) { ask.request.groups = {kCoordinators}; }},
    {"no group", [](CertificateAsk& ask) { ask.request.groups.clear(); }},
    {"a group with a blank", [](CertificateAsk& ask) { ask.request.groups = {"daemonsetd:nodes "}; }},
    {"a NUL in a group", [](CertificateAsk& ask) { ask.request.groups = {std::string("daemonsetd:nodes\0", 17)}; }},
    {"no name", [](CertificateAsk& ask) { ask.request.user = ""; }},
    {"a name of no node", [](CertificateAsk& ask) { ask.request.user = "daemonsetd:node:"; }},
    {"a name that is no node's", [](CertificateAsk& ask) { ask.request.user = "daemonsetd:node:a/../b"; }},
    {"a kubelet", [](CertificateAsk& ask) { ask.request.user = "system:node:edge-17"; }},
    {"an administrator", [](CertificateAsk& ask) { ask.request.user = "kubernetes-admin"; }},
    {"names or attributes more", [](CertificateAsk& ask) { ask.request.plain = false; }},
    {"a weak key", [](CertificateAsk& ask) { ask.request.strong_key = false; }},
    {"somebody else's key", [](CertificateAsk& ask) { ask.request.signed_by_key = false; }},
};

TEST(CertificateApproval, WhatIsNotExactlyTheCertificateOfANodeIsLeft) {
  for (const Hostile& hostile : kHostile) {
    for (const CertificateAsk& begin : {Renewal(), Bootstrap()}) {
      CertificateAsk ask = begin;
      hostile.change(ask);
      const Approval approval = DecideApproval(ask, ApproverMode::kAll);
      EXPECT_EQ(approval.answer, Answer::kLeave) << hostile.name << " by " << ask.requester;
      EXPECT_NE(approval.reason, "") << hostile.name;
    }
  }
}

TEST(CertificateApproval, WhoNamesItselfAsTheRequestDoesMustHaveTheRights) {
  for (const Hostile& hostile : kHostile) {
    // The requester follows what the request says, as a user of that name would.
    CertificateAsk ask = Renewal();
    hostile.change(ask);
    ask.requester = ask.request.user;
    EXPECT_EQ(DecideApproval(ask, ApproverMode::kAll).answer, Answer::kLeave) << hostile.name;
  }
}

TEST(CertificateApproval, AnAgentAsksForNoOtherNode) {
  CertificateAsk ask = Renewal();
  ask.request.user = "daemonsetd:node:edge-18";
  EXPECT_EQ(DecideApproval(ask, ApproverMode::kAll).answer, Answer::kLeave);
  ask.requester_groups.emplace_back("system:bootstrappers:daemonsetd");
  EXPECT_THAT(DecideApproval(ask, ApproverMode::kAll).reason, HasSubstr("an agent asks for another node"));
}

TEST(CertificateApproval, AUserOfTheNameWithoutTheGroupIsNoAgent) {
  CertificateAsk ask = Renewal();
  ask.requester_groups = {kAuthenticated};
  EXPECT_EQ(DecideApproval(ask, ApproverMode::kAll).answer, Answer::kLeave);
}

TEST(NodeIdentity, NamesAndGroups) {
  EXPECT_EQ(UserOfNode("edge-17"), kAgent);
  EXPECT_EQ(NodeOfUser(kAgent), "edge-17");
  for (const char* user : {"", "edge-17", "daemonsetd:node:", "daemonsetd:node:Edge", "daemonsetd:node:a:b"}) {
    EXPECT_EQ(NodeOfUser(user), "") << user;
  }
  EXPECT_THAT(GroupsOfNode(false), ::testing::ElementsAre(kNodes));
  EXPECT_THAT(GroupsOfNode(true), ::testing::ElementsAre(kNodes, kCoordinators));
}

}  // namespace
}  // namespace daemonsetd::decide
