#include "agent/cluster/token_records.h"

#include <gtest/gtest.h>

namespace daemonsetd::cluster {
namespace {

pods::TokenRequest Request() {
  return {.name_space = "default",
          .service_account = "robot",
          .audience = "vault",
          .expiration = Seconds(7200),
          .pod_name = "agent-x7k2p",
          .pod_uid = "uid-1"};
}

TEST(TokenRecords, KeepWhatWasGranted) {
  const pods::Token token{.value = "abc", .lifetime = Seconds(600), .issued = WallTime(std::chrono::hours(1))};
  const auto record = RecordOf(Request(), token);
  EXPECT_EQ(record.metadata().namespace_(), "default");
  EXPECT_EQ(record.spec().boundobjectref().name(), "agent-x7k2p");
  const pods::Token back = TokenOf(record, token.issued);
  EXPECT_EQ(back.value, "abc");
  EXPECT_EQ(back.lifetime, Seconds(600));
  EXPECT_EQ(back.issued, token.issued);
}

TEST(TokenRecords, HaveANameForEachThingThatIsAskedFor) {
  const std::string name = RecordNameOf(Request());
  EXPECT_TRUE(name.starts_with("uid-1.")) << name;
  EXPECT_EQ(name, RecordNameOf(Request()));
  pods::TokenRequest other = Request();
  other.service_account = "other";
  EXPECT_NE(RecordNameOf(other), name);
  other = Request();
  other.audience = "";
  EXPECT_NE(RecordNameOf(other), name);
  other = Request();
  other.expiration = Seconds(3600);
  EXPECT_NE(RecordNameOf(other), name);
  other = Request();
  other.pod_uid = "uid-2";
  EXPECT_NE(RecordNameOf(other), name);
}

TEST(ExpiryIn, IsTheClaimOfTheToken) {
  // {"aud":["a"],"exp":1795000000,"sub":"???>>>"}, whose letters are base64url's own.
  const auto expiry = ExpiryIn("e30.eyJhdWQiOlsiYSJdLCJleHAiOjE3OTUwMDAwMDAsInN1YiI6Ij8_Pz4-PiJ9.c2ln");
  ASSERT_TRUE(expiry);
  EXPECT_EQ(*expiry, WallTime(Seconds(1'795'000'000)));
}

TEST(ExpiryIn, IsUnknownOfAnythingElse) {
  for (const char* token : {"", "abc", "a.b", "..", "e30.e30.x", "e30.!!!!.x", "e30.eyJleHAiOiIxIn0.x",
                            "e30.eyJleHAiOi0xfQ.x", "e30.W10.x", "e30.eyJleHAiOjF9"}) {
    EXPECT_FALSE(ExpiryIn(token)) << token;
  }
}

TEST(ExpiryIn, OfAHostileTokenDoesNotOverflow) {
  // {"exp":99999999999999999999}, {"exp":9223372036854775807}
  EXPECT_FALSE(ExpiryIn("e30.eyJleHAiOjk5OTk5OTk5OTk5OTk5OTk5OTk5fQ.x"));
  EXPECT_GT(ExpiryIn("e30.eyJleHAiOjkyMjMzNzIwMzY4NTQ3NzU4MDd9.x"), WallTime(Seconds(1'795'000'000)));
}

TEST(Token, IsValidForItsLifetimeOrAsLongAsItSaysItself) {
  const pods::Token token{
      .value = "e30.eyJleHAiOjEwMDAwfQ.x", .lifetime = Seconds(600), .issued = WallTime(Seconds(1000))};
  EXPECT_TRUE(IsStillValid(token, WallTime(Seconds(1599))));
  EXPECT_TRUE(IsStillValid(token, WallTime(Seconds(9999))));
  EXPECT_FALSE(IsStillValid(token, WallTime(Seconds(10000))));
  EXPECT_FALSE(IsValidByItsOwnWord({.value = "opaque", .lifetime = Seconds(600), .issued = WallTime(Seconds(1000))},
                                   WallTime(Seconds(1001))));
}

}  // namespace
}  // namespace daemonsetd::cluster
