#include "agent/identity/certificate_approver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/api_time.h"
#include "agent/identity/certificate.h"
#include "tests/support/loop.h"
#include "tests/unit/identity/signer.h"

namespace daemonsetd::identity {
namespace {

using ::testing::HasSubstr;

std::string RequestOf(const std::string& node) {
  return NewSigningRequest(NewKey().value(), decide::UserOfNode(node), {"daemonsetd:nodes"}).value();
}

class CertificateApproverTest : public ::testing::Test {
 protected:
  ~CertificateApproverTest() override {
    if (running_) loop.Cancel(running_);
  }

  SigningRequestObject& PutRenewal(const std::string& name, const std::string& node) {
    SigningRequestObject& object = signer.Put(name, RequestOf(node));
    object.mutable_spec()->set_username(decide::UserOfNode(node));
    object.mutable_spec()->add_groups("daemonsetd:nodes");
    return object;
  }
  SigningRequestObject& PutBootstrap(const std::string& name, const std::string& node) {
    SigningRequestObject& object = signer.Put(name, RequestOf(node));
    object.mutable_spec()->set_username("system:bootstrap:abcdef");
    object.mutable_spec()->add_groups("system:bootstrappers:daemonsetd");
    return object;
  }
  std::string DecisionAbout(const std::string& name) { return DecisionOn(signer.requests.at(name)); }
  void Start(decide::ApproverMode mode) {
    approver.emplace(loop.timeline(), client, [] { return 0.5; }, mode, [] {});
    running_ = loop.Start(approver->Run());
    loop.Advance(Seconds(3));
  }
  void PutLease(const std::string& node, Seconds ago) {
    kube::coordinationv1::Lease& lease = signer.leases[node];
    lease.mutable_metadata()->set_name(node);
    lease.mutable_metadata()->set_namespace_("kube-node-lease");
    lease.mutable_spec()->set_holderidentity("somebody");
    lease.mutable_spec()->set_leasedurationseconds(40);
    *lease.mutable_spec()->mutable_renewtime() = decide::ToApiMicroTime(loop.timeline().Read().wall - ago);
  }

  testing::TestLoop loop;
  testing::Signer signer{loop.timeline()};
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{signer, limiter, loop.timeline()};
  std::optional<CertificateApprover> approver;

 private:
  std::shared_ptr<testing::Started<void>> running_;
};

TEST_F(CertificateApproverTest, ApprovesRenewalsAndLeavesTheRest) {
  PutRenewal("own", "edge-1");
  PutRenewal("foreign", "edge-1").mutable_spec()->set_request(RequestOf("edge-2"));
  PutRenewal("broken", "edge-1").mutable_spec()->set_request("no request");
  PutBootstrap("bootstrap", "edge-3");
  Start(decide::ApproverMode::kRenewals);
  EXPECT_EQ(DecisionAbout("own"), "Approved");
  for (const char* name : {"foreign", "broken", "bootstrap"}) EXPECT_EQ(DecisionAbout(name), "") << name;
  EXPECT_EQ(signer.requests.at("own").status().conditions(0).status(), "True");
}

TEST_F(CertificateApproverTest, ABootstrapTokenGetsNoNodeThatIsAlive) {
  PutBootstrap("new", "edge-1");
  PutBootstrap("alive", "edge-2");
  PutLease("edge-2", Seconds(10));
  PutBootstrap("dead", "edge-3");
  PutLease("edge-3", Seconds(60));
  PutBootstrap("no-lease", "edge-4");
  signer.nodes = {"edge-4"};
  Start(decide::ApproverMode::kAll);
  EXPECT_EQ(DecisionAbout("new"), "Approved");
  EXPECT_EQ(DecisionAbout("alive"), "");
  EXPECT_EQ(DecisionAbout("dead"), "Approved");
  EXPECT_EQ(DecisionAbout("no-lease"), "") << "a Node without a Lease: nobody knows whether it is alive";
  loop.Advance(std::chrono::minutes(2));
  EXPECT_EQ(DecisionAbout("alive"), "Approved") << "its Lease has run out meanwhile";
}

TEST_F(CertificateApproverTest, WhatIsDecidedIsNotTouched) {
  PutRenewal("denied", "edge-1").mutable_status()->add_conditions()->set_type("Denied");
  Start(decide::ApproverMode::kAll);
  EXPECT_EQ(DecisionAbout("denied"), "Denied");
  EXPECT_EQ(signer.calls.size(), 1U) << "one list, nothing else";
}

TEST_F(CertificateApproverTest, WithoutTheRightsItSaysSoAndTriesAgain) {
  PutRenewal("own", "edge-1");
  signer.fail = [] { return Error(ErrorKind::kDenied, "forbidden"); };
  Start(decide::ApproverMode::kAll);
  EXPECT_THAT(approver->problem(), HasSubstr("50-approver.yaml"));
  signer.fail = nullptr;
  loop.Advance(std::chrono::minutes(2));
  EXPECT_EQ(approver->problem(), "");
  EXPECT_EQ(DecisionAbout("own"), "Approved");
}

}  // namespace
}  // namespace daemonsetd::identity
