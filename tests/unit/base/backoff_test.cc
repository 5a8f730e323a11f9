#include "agent/base/backoff.h"

#include <gtest/gtest.h>

namespace daemonsetd {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr BackoffLimits kCrashLoop{.initial = seconds(10), .maximum = minutes(5), .reset_after = minutes(10)};

TEST(Backoff, DoublesUpToTheMaximum) {
  Backoff backoff(kCrashLoop);
  MonoTime now{};
  std::vector<Nanoseconds> waits;
  for (int i = 0; i < 7; ++i) {
    now = backoff.Fail(now);
    waits.push_back(backoff.delay());
  }
  EXPECT_EQ(waits, (std::vector<Nanoseconds>{seconds(10), seconds(20), seconds(40), seconds(80), seconds(160),
                                             seconds(300), seconds(300)}));
}

TEST(Backoff, StartsAgainAfterALongQuietTime) {
  Backoff backoff(kCrashLoop);
  MonoTime now{};
  now = backoff.Fail(now);
  now = backoff.Fail(now);
  now += minutes(11);
  backoff.Fail(now);
  EXPECT_EQ(backoff.delay(), seconds(10));
}

TEST(Jittered, IsHalfToOneAndAHalfTimes) {
  EXPECT_EQ(Jittered(std::chrono::seconds(4), 0.0), std::chrono::seconds(2));
  EXPECT_EQ(Jittered(std::chrono::seconds(4), 0.5), std::chrono::seconds(4));
  EXPECT_LT(Jittered(std::chrono::seconds(4), 0.999), std::chrono::seconds(6));
}

TEST(Backoff, ResetForgetsEverything) {
  Backoff backoff(kCrashLoop);
  backoff.Fail(MonoTime{});
  backoff.Reset();
  EXPECT_FALSE(backoff.due().has_value());
  EXPECT_FALSE(backoff.Waiting(MonoTime{}));
  EXPECT_EQ(backoff.failures(), 0);
}

}  // namespace
}  // namespace daemonsetd
