#include "agent/pods/tokens.h"

#include <gtest/gtest.h>

#include "tests/support/loop.h"
#include "tests/unit/pods/fake_objects.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class Tokens : public ::testing::Test {
 protected:
  Tokens() {
    objects_->SetAccount("agent", {});
    request_.name_space = "default";
    request_.service_account = "agent";
    request_.pod_uid = "uid-1";
  }
  std::string Get() {
    const Result<std::string> token = loop_.Run(tokens_.Get(request_, seconds(10)));
    return token ? *token : token.error().message();
  }

  testing::TestLoop loop_;
  std::shared_ptr<FakeObjects> objects_ = std::make_shared<FakeObjects>(loop_.timeline());
  PodTokens tokens_{objects_, loop_.timeline()};
  TokenRequest request_;
};

TEST(TokenRefreshAge, IsAtMostFourFifthsOfTheLifetimeAndSpread) {
  const auto age = [](Seconds lifetime, std::uint64_t seed) {
    return TokenRefreshAge(Token{.value = {}, .lifetime = lifetime, .issued = {}}, seed);
  };
  EXPECT_EQ(age(hours(1), 0), minutes(48));
  EXPECT_EQ(age(hours(1), 500), minutes(48) - seconds(90));
  EXPECT_GE(age(hours(1), 999), minutes(45));
  EXPECT_EQ(age(hours(24 * 365), 0), hours(24)) << "at least once a day";
  for (const Seconds hostile : {Seconds(0), Seconds(-1), Seconds::min()}) EXPECT_EQ(age(hostile, 7), seconds(10));
  EXPECT_EQ(age(Seconds::max(), 7), hours(24));
}

TEST_F(Tokens, AreHeldUntilTheyAreDue) {
  EXPECT_TRUE(tokens_.IsDue(request_));
  EXPECT_EQ(Get(), "token-1");
  loop_.Advance(minutes(44));
  EXPECT_FALSE(tokens_.IsDue(request_));
  EXPECT_EQ(Get(), "token-1");
  loop_.Advance(minutes(5));
  EXPECT_TRUE(tokens_.IsDue(request_));
  EXPECT_EQ(Get(), "token-2");
  EXPECT_FALSE(tokens_.IsDue(request_));
}

TEST_F(Tokens, OfAnotherAudienceAreOthers) {
  EXPECT_EQ(Get(), "token-1");
  request_.audience = "vault";
  EXPECT_EQ(Get(), "token-2");
  EXPECT_EQ(objects_->token_requests().back().audience, "vault");
}

// VO-09
TEST_F(Tokens, AreFetchedAnewWhenTheClockIsSet) {
  EXPECT_EQ(Get(), "token-1");
  loop_.timeline().JumpWall(-hours(2));
  EXPECT_TRUE(tokens_.IsDue(request_));
  EXPECT_EQ(Get(), "token-2");
  EXPECT_FALSE(tokens_.IsDue(request_)) << "once";
  loop_.timeline().JumpWall(hours(2));
  EXPECT_EQ(Get(), "token-3");
  EXPECT_FALSE(tokens_.IsDue(request_));
  loop_.timeline().JumpWall(seconds(20));
  EXPECT_FALSE(tokens_.IsDue(request_)) << "NTP at work";
  EXPECT_EQ(Get(), "token-3");
}

// VO-09: the node's clock is wrong all the time; only what passes on it counts.
TEST_F(Tokens, DoNotDependOnTheServersIdeaOfTime) {
  loop_.timeline().JumpWall(-hours(24));
  EXPECT_EQ(Get(), "token-1");
  loop_.Advance(minutes(44));
  EXPECT_FALSE(tokens_.IsDue(request_));
}

TEST_F(Tokens, StayInUseWhileNoNewOneCanBeHad) {
  EXPECT_EQ(Get(), "token-1");
  loop_.Advance(minutes(50));
  objects_->SetDown(true);
  EXPECT_EQ(Get(), "token-1");
  EXPECT_FALSE(tokens_.IsDue(request_)) << "it is tried again after a back-off";
  loop_.Advance(seconds(5));
  EXPECT_TRUE(tokens_.IsDue(request_));
  loop_.Advance(minutes(15));
  EXPECT_EQ(Get(), "the API server cannot be reached") << "an expired token is none";
  EXPECT_EQ(Get(), "the token ran out, and a new one could not be had");
  objects_->SetDown(false);
  tokens_.RetryNow();
  EXPECT_EQ(Get(), "token-2");
}

TEST_F(Tokens, AreLookedAtOftenEnoughToSeeAClockJumpAndOtherwiseRarely) {
  EXPECT_FALSE(tokens_.next_check());
  Get();
  EXPECT_EQ(*tokens_.next_check(), loop_.timeline().mono() + PodTokens::kCheckPeriod);
  loop_.Advance(minutes(47) + seconds(30));
  EXPECT_LE(*tokens_.next_check(), loop_.timeline().mono() + PodTokens::kCheckPeriod);
  EXPECT_GT(*tokens_.next_check(), loop_.timeline().mono());
}

}  // namespace
}  // namespace daemonsetd::pods
