#include "agent/decide/ready_since.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>

#include "agent/decide/api_time.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::seconds;

constexpr Seconds kMinReady{30};
const WallTime kWall = WallTime(seconds(1'800'000'000));
const MonoTime kMono = MonoTime(seconds(5000));

Now At(Nanoseconds since_start) { return {.mono = kMono + since_start, .wall = kWall + since_start}; }

corev1::PodStatus Status(bool ready, WallTime transition) {
  corev1::PodStatus status;
  corev1::PodCondition& condition = *status.add_conditions();
  condition.set_type("Ready");
  condition.set_status(ready ? "True" : "False");
  *condition.mutable_lasttransitiontime() = ToApiTime(transition);
  return status;
}

std::optional<MonoTime> Available(const std::optional<ReadySight>& sight) {
  return AvailableAt(sight, static_cast<std::int32_t>(kMinReady.count()));
}

// RO-03: a node that is 90 s ahead, or 90 s behind, changes nothing about the wait.
TEST(ReadySince, WhatWasSeenToBecomeReadyWaitsOnTheObserversClock) {
  for (const Seconds skew : {seconds(-90), seconds(0), seconds(90)}) {
    SCOPED_TRACE(skew.count());
    std::optional<ReadySight> sight;
    NoteReady(Status(false, kWall + skew), At(seconds(0)), std::nullopt, sight);
    EXPECT_EQ(Available(sight), std::nullopt);
    NoteReady(Status(false, kWall + skew), At(seconds(10)), std::nullopt, sight);
    NoteReady(Status(true, kWall + skew + seconds(10)), At(seconds(10)), std::nullopt, sight);
    EXPECT_EQ(Available(sight), kMono + seconds(40));
    // Looking again moves nothing.
    NoteReady(Status(true, kWall + skew + seconds(10)), At(seconds(25)), std::nullopt, sight);
    EXPECT_EQ(Available(sight), kMono + seconds(40));
  }
}

TEST(ReadySince, AtTheFirstLookThePodsOwnTimesAreBelieved) {
  std::optional<ReadySight> sight;
  NoteReady(Status(true, kWall - std::chrono::hours(2)), At(seconds(0)), std::nullopt, sight);
  ASSERT_TRUE(Available(sight));
  EXPECT_LE(*Available(sight), kMono) << "a coordinator that takes over finds it available";
}

TEST(ReadySince, WhatAppearedWhileOneLookedIsNotOlderThanThat) {
  std::optional<ReadySight> sight;
  NoteReady(Status(true, kWall - seconds(90)), At(seconds(0)), seconds(4), sight);
  EXPECT_EQ(Available(sight), kMono + seconds(26));
}

TEST(ReadySince, AMomentInTheFutureCountsAsNow) {
  std::optional<ReadySight> sight;
  NoteReady(Status(true, kWall + std::chrono::hours(1)), At(seconds(0)), std::nullopt, sight);
  EXPECT_EQ(Available(sight), kMono + kMinReady);
}

TEST(ReadySince, AFlapBetweenTwoLooksBeginsAgain) {
  std::optional<ReadySight> sight;
  NoteReady(Status(true, kWall), At(seconds(0)), seconds(0), sight);
  NoteReady(Status(true, kWall + seconds(20)), At(seconds(20)), std::nullopt, sight);
  EXPECT_EQ(Available(sight), kMono + seconds(50));
}

TEST(ReadySince, HostileTimesOverflowNothing) {
  for (const std::int64_t value :
       {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    corev1::PodStatus status = Status(true, kWall);
    status.mutable_conditions(0)->mutable_lasttransitiontime()->set_seconds(value);
    std::optional<ReadySight> sight;
    NoteReady(status, At(seconds(0)), std::nullopt, sight);
    EXPECT_TRUE(AvailableAt(sight, std::numeric_limits<std::int32_t>::max()));
  }
}

TEST(ReadySince, WithoutTheConditionItIsNotReady) {
  std::optional<ReadySight> sight;
  NoteReady({}, At(seconds(0)), std::nullopt, sight);
  EXPECT_EQ(AvailableAt(sight, 0), std::nullopt);
  EXPECT_EQ(AvailableAt(std::nullopt, 0), std::nullopt);
}

}  // namespace
}  // namespace daemonsetd::decide
