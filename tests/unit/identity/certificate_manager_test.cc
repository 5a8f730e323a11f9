#include "agent/identity/certificate_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "agent/identity/certificate.h"
#include "agent/identity/certificate_files.h"
#include "agent/identity/kubeconfig_file.h"
#include "agent/kube/transport/files.h"
#include "tests/support/loop.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/identity/signer.h"

namespace daemonsetd::identity {
namespace {

namespace fs = std::filesystem;
using std::chrono::minutes;
using ::testing::HasSubstr;
using Hours = std::chrono::hours;

class CertificateManagerTest : public ::testing::Test {
  const testing::TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path().string();

 protected:
  CertificateManagerTest() {
    settings = {.node_name = "edge-17",
                .kubeconfig = directory_ + "/kubeconfig",
                .bootstrap_kubeconfig = directory_ + "/bootstrap",
                .state_directory = directory_};
  }
  ~CertificateManagerTest() override {
    if (running_) loop.Cancel(running_);
  }

  std::string current() const { return CurrentCertificatePath(directory_); }
  std::string Read(const std::string& path) { return kube::ReadSmallFile(path, 1 << 20).value(); }
  WallTime Wall() { return loop.timeline().Read().wall; }

  // As daemonsetctl join leaves it.
  void Join(Nanoseconds age, Nanoseconds lifetime) {
    const std::string key = NewKey().value();
    const std::string request =
        NewSigningRequest(key, decide::UserOfNode("edge-17"), decide::GroupsOfNode(true)).value();
    const std::string certificate = signer.authority.Sign(request, Wall() - age, Wall() - age + lifetime);
    ASSERT_TRUE(StoreCertificate(directory_, certificate, key, Wall() - age));
    const ClusterAccess cluster{.server = "https://10.0.0.1:6443"};
    ASSERT_TRUE(WritePrivateFile(settings.kubeconfig, KubeconfigWithFile(cluster, current())));
  }
  void Start() {
    manager.emplace(loop.executor(), loop.timeline(), pool, client, [] { return 0.5; }, settings, [] {});
    running_ = loop.Start(manager->Run());
  }
  long Posts() {
    return std::count_if(signer.calls.begin(), signer.calls.end(),
                         [](const std::string& call) { return call.starts_with("POST"); });
  }

  testing::TestLoop loop{minutes(2)};  // many looks at files, on a machine that has more to do
  testing::Signer signer{loop.timeline()};
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{signer, limiter, loop.timeline()};
  async::BlockingPool pool{0};
  CertificateManagerSettings settings;
  std::optional<CertificateManager> manager;

 private:
  std::shared_ptr<testing::Started<void>> running_;
};

TEST_F(CertificateManagerTest, AYoungOneIsLeftUntilItsTime) {
  Join(minutes(50), minutes(100));
  Start();
  const WallTime ends = *manager->expires();
  EXPECT_EQ(ends, Wall() + minutes(50));
  loop.Advance(minutes(29));
  EXPECT_EQ(Posts(), 0);
  loop.Advance(minutes(3));
  EXPECT_EQ(Posts(), 1);
  EXPECT_GT(*manager->expires(), ends);
  EXPECT_EQ(manager->problem(), "");
  EXPECT_EQ(manager->errors(), 0);
}

TEST_F(CertificateManagerTest, TheOldOneServesUntilTheNewOneIsThere) {
  Join(Hours(9), Hours(10));
  signer.approves = false;
  const std::string old = Read(current());
  Start();
  loop.Advance(minutes(1));
  EXPECT_EQ(Posts(), 1);
  EXPECT_EQ(Read(current()), old);
  EXPECT_THAT(manager->problem(), HasSubstr("kubectl certificate approve"));
  EXPECT_THAT(manager->problem(), HasSubstr(signer.requests.begin()->first));
  signer.requests.begin()->second.mutable_status()->add_conditions()->set_type("Approved");
  loop.Advance(minutes(2));
  EXPECT_NE(Read(current()), old);
  EXPECT_EQ(ReadCertificate(Read(current()))->groups, decide::GroupsOfNode(true)) << "the groups stay";
  EXPECT_EQ(manager->problem(), "");
  EXPECT_EQ(Posts(), 1);
}

TEST_F(CertificateManagerTest, ADenialIsToldAndTriedAgainAtAWalkingPace) {
  Join(Hours(9), Hours(10));
  signer.approves = false;
  const std::string old = Read(current());
  Start();
  for (int i = 0; i < 30; ++i) {
    for (auto& [name, object] : signer.requests) {
      if (DecisionOn(object).empty()) {
        auto& condition = *object.mutable_status()->add_conditions();
        condition.set_type("Denied");
        condition.set_message("not this one");
      }
    }
    loop.Advance(minutes(1));
  }
  EXPECT_THAT(manager->problem(), HasSubstr("not this one"));
  EXPECT_GE(manager->errors(), 5);
  EXPECT_LE(Posts(), 20) << "in half an hour";
  EXPECT_EQ(Read(current()), old);
}

TEST_F(CertificateManagerTest, AServerThatIsAwayIsAskedAgain) {
  Join(Hours(9), Hours(10));
  signer.fail = [] { return Error(ErrorKind::kRetry, "no route"); };
  Start();
  loop.Advance(minutes(10));
  EXPECT_THAT(manager->problem(), HasSubstr("is not renewed yet: "));
  signer.fail = nullptr;
  loop.Advance(minutes(8));
  EXPECT_EQ(manager->problem(), "");
  EXPECT_EQ(signer.requests.size(), 1U);
}

TEST_F(CertificateManagerTest, ALostAnswerMakesNoSecondRequest) {
  Join(Hours(9), Hours(10));
  int looks = 0;
  signer.fail = [&looks]() -> std::optional<Error> {
    return ++looks == 2 || looks == 3 ? std::optional(Error(ErrorKind::kTimeout, "slow")) : std::nullopt;
  };
  Start();
  loop.Advance(minutes(5));
  EXPECT_EQ(Posts(), 1);
  EXPECT_EQ(manager->errors(), 0);
  EXPECT_EQ(manager->problem(), "");
}

TEST_F(CertificateManagerTest, WhatIsNotValidByOurClockIsNotPutToUse) {
  Join(Hours(9), Hours(10));
  const std::string old = Read(current());
  signer.skew = Hours(5);  // or ours is behind
  Start();
  loop.Advance(minutes(20));
  EXPECT_EQ(Read(current()), old);
  EXPECT_THAT(manager->problem(), HasSubstr("set the clock"));
  EXPECT_LE(Posts(), 20);
}

TEST_F(CertificateManagerTest, ASignerOfMinutesMakesNoHotLoop) {
  Join(Hours(9), Hours(10));
  signer.lifetime = Seconds(30);  // with the five minutes before, it is due at once
  Start();
  loop.Advance(minutes(30));
  EXPECT_LE(Posts(), 40);
}

TEST_F(CertificateManagerTest, WhatOthersMadeIsOnlyLookedAt) {
  Join(minutes(90), minutes(100));
  const auto pem = Read(current());
  const std::string key = pem.substr(pem.find("-----BEGIN PRIVATE KEY"));
  ASSERT_TRUE(WritePrivateFile(settings.kubeconfig, KubeconfigWithText({.server = "https://a"}, pem, key)));
  Start();
  EXPECT_EQ(*manager->expires(), Wall() + minutes(10));
  loop.Advance(minutes(12));
  EXPECT_EQ(Posts(), 0);
  EXPECT_THAT(manager->problem(), HasSubstr("who made it has to replace it"));
}

TEST_F(CertificateManagerTest, ATokenNeedsNoCertificate) {
  ASSERT_TRUE(WritePrivateFile(settings.kubeconfig, KubeconfigWithToken({.server = "https://a"}, "t")));
  Start();
  loop.Advance(minutes(5));
  EXPECT_EQ(manager->problem(), "");
  EXPECT_FALSE(manager->expires());
}

TEST_F(CertificateManagerTest, ExpiredWithoutABootstrapKubeconfigSaysWhatToDo) {
  Join(Hours(11), Hours(10));
  Start();
  EXPECT_THAT(manager->problem(), HasSubstr("daemonsetctl join --force"));
  // What join then writes is seen without a restart.
  Join(Hours(0), Hours(10));
  loop.Advance(minutes(2));
  EXPECT_EQ(manager->problem(), "");
}

TEST_F(CertificateManagerTest, ARunningRequestEndsWhenSomebodyElseWasQuicker) {
  Join(Hours(9), Hours(10));
  signer.approves = false;
  Start();
  loop.Advance(minutes(1));
  Join(Hours(0), Hours(10));
  loop.Advance(minutes(2));
  EXPECT_EQ(manager->problem(), "");
  EXPECT_EQ(manager->errors(), 0);
  EXPECT_EQ(*manager->expires(), Wall() - minutes(2) + Hours(10));
}

}  // namespace
}  // namespace daemonsetd::identity
