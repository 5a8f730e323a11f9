#include "agent/decide/pressure.h"

#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const MonoTime kStart{std::chrono::hours(1)};
constexpr std::uint64_t kMi = 1 << 20;

PressureSignals WithMemory(std::uint64_t available) {
  return {.memory = Amount{.available = available * kMi, .capacity = 1000 * kMi}};
}
WatchedThreshold MemoryBelow(std::uint64_t least) {
  return {.signal = EvictionSignal::kMemory, .least = {.amount = least * kMi}};
}

class PressureTest : public ::testing::Test {
 protected:
  std::optional<MetThreshold> After(const PressureSignals& signals, Nanoseconds since = {}) {
    TakeNoteOfPressure(signals, thresholds, kStart + since, memory);
    return MostPressing(signals, thresholds, memory);
  }
  PressureThresholds thresholds;
  PressureMemory memory;
};

TEST_F(PressureTest, AHardThresholdAsksAtOnce) {
  EXPECT_FALSE(After(WithMemory(100)));
  const auto met = After(WithMemory(99));
  ASSERT_TRUE(met);
  EXPECT_TRUE(met->hard);
  EXPECT_EQ(met->quantity, 100 * kMi);
  EXPECT_EQ(met->available, 99 * kMi);
}

TEST_F(PressureTest, ASoftOneAsksOnceItHasLastedAndMeansPressureBefore) {
  thresholds.watched = {MemoryBelow(200)};
  thresholds.watched[0].grace = seconds(90);
  EXPECT_FALSE(After(WithMemory(150)));
  EXPECT_TRUE(memory.memory);
  EXPECT_FALSE(After(WithMemory(150), seconds(89)));
  const auto met = After(WithMemory(150), seconds(90));
  ASSERT_TRUE(met);
  EXPECT_FALSE(met->hard);
  EXPECT_FALSE(After(WithMemory(250), seconds(91)));
  EXPECT_FALSE(After(WithMemory(150), seconds(92))) << "the period begins anew";
}

TEST_F(PressureTest, OnceMetItStaysMetUntilTheMinimumIsReclaimed) {
  thresholds.watched = {MemoryBelow(100)};
  thresholds.watched[0].minimum_reclaim = {.percent = 10};
  EXPECT_FALSE(After(WithMemory(150)));
  EXPECT_TRUE(After(WithMemory(50)));
  EXPECT_TRUE(After(WithMemory(199)));
  EXPECT_FALSE(After(WithMemory(200)));
  EXPECT_FALSE(After(WithMemory(199)));
}

TEST_F(PressureTest, WhatIsNotKnownAsksForNothingAndEndsNothing) {
  EXPECT_TRUE(After(WithMemory(50)));
  EXPECT_FALSE(After({}));
  thresholds.watched = {MemoryBelow(200)};
  thresholds.watched[0].grace = minutes(1);
  memory = {};
  EXPECT_FALSE(After(WithMemory(150)));
  EXPECT_FALSE(After({}, seconds(30)));
  EXPECT_TRUE(After(WithMemory(150), minutes(1)));
}

TEST_F(PressureTest, ThresholdsOfNothingAreOff) {
  thresholds.watched = {MemoryBelow(0)};
  thresholds.watched[0].minimum_reclaim = {.percent = 50};
  EXPECT_FALSE(After(WithMemory(0)));
  EXPECT_FALSE(memory.memory);
}

TEST_F(PressureTest, MemoryComesBeforeDiskBeforePids) {
  PressureSignals signals = WithMemory(1);
  const Amount little{.available = 1, .capacity = 100};
  signals.pod_disk = signals.image_disk = signals.pod_disk_inodes = signals.pids = little;
  thresholds.watched.push_back({.signal = EvictionSignal::kPids, .least = {.percent = 50}});
  EXPECT_EQ(After(signals)->signal, EvictionSignal::kMemory);
  signals.memory.reset();
  EXPECT_EQ(After(signals)->signal, EvictionSignal::kPodDisk);
  signals.pod_disk.reset();
  EXPECT_EQ(After(signals)->signal, EvictionSignal::kImageDisk);
  signals.image_disk.reset();
  EXPECT_EQ(After(signals)->signal, EvictionSignal::kPodDiskInodes);
  signals.pod_disk_inodes.reset();
  EXPECT_EQ(After(signals)->signal, EvictionSignal::kPids);
}

TEST_F(PressureTest, OfTwoThresholdsOfOneSignalTheHardOneCounts) {
  thresholds.watched = {MemoryBelow(200), MemoryBelow(100)};
  thresholds.watched[0].grace = seconds(0);
  EXPECT_FALSE(After(WithMemory(150))->hard);
  EXPECT_TRUE(After(WithMemory(50))->hard);
}

}  // namespace
}  // namespace daemonsetd::decide
