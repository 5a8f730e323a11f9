#include "agent/decide/node_conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/api_time.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const MonoTime kStart{std::chrono::hours(1)};

Now At(Nanoseconds since_start) {
  return {.mono = kStart + since_start, .wall = WallTime(Seconds(1'000)) + since_start};
}

const corev1::NodeCondition& Find(const std::vector<corev1::NodeCondition>& conditions, const std::string& type) {
  for (const corev1::NodeCondition& condition : conditions) {
    if (condition.type() == type) return condition;
  }
  throw std::runtime_error("no condition " + type);
}

corev1::NodeStatus StatusWith(const std::vector<corev1::NodeCondition>& conditions) {
  corev1::NodeStatus status;
  for (const corev1::NodeCondition& condition : conditions) *status.add_conditions() = condition;
  return status;
}

TEST(NodeConditions, AreTheKubeletsOnAHealthyNode) {
  const auto conditions = NodeConditions(std::vector<std::string>{}, {}, {}, {}, At({}));
  std::vector<std::string> texts;
  for (const auto& c : conditions) texts.push_back(c.type() + " " + c.status() + " " + c.reason() + ": " + c.message());
  EXPECT_THAT(texts,
              ElementsAre("MemoryPressure False KubeletHasSufficientMemory: kubelet has sufficient memory available",
                          "DiskPressure False KubeletHasNoDiskPressure: kubelet has no disk pressure",
                          "PIDPressure False KubeletHasSufficientPID: kubelet has sufficient PID available",
                          "Ready True KubeletReady: kubelet is posting ready status"));
}

TEST(NodeConditions, KeepTransitionTimesAndMoveHeartbeats) {
  const auto first = NodeConditions(std::vector<std::string>{}, {}, {}, {}, At({}));
  const auto later = NodeConditions(std::vector<std::string>{"x"}, {}, {}, StatusWith(first), At(minutes(1)));
  EXPECT_EQ(Find(later, "DiskPressure").lasttransitiontime().seconds(), 1'000);
  EXPECT_EQ(Find(later, "DiskPressure").lastheartbeattime().seconds(), 1'060);
  EXPECT_EQ(Find(later, "Ready").lasttransitiontime().seconds(), 1'060);
  EXPECT_EQ(Find(later, "Ready").message(), "x");
}

// ST-08
TEST(NodeConditions, ARestartKeepsTheLastReadinessUntilThereIsProof) {
  const auto ready = NodeConditions(std::vector<std::string>{}, {}, {}, {}, At({}));
  RuntimeHealth health{.asked_since = kStart + minutes(1)};
  const auto problems = ReadinessProblems(health, false, kStart + minutes(1) + Seconds(29));
  EXPECT_FALSE(problems.has_value());
  EXPECT_EQ(Find(NodeConditions(problems, {}, {}, StatusWith(ready), At(minutes(1))), "Ready").status(), "True");

  auto unknown = ready;
  for (auto& condition : unknown) condition.set_status("Unknown");
  EXPECT_EQ(Find(NodeConditions(problems, {}, {}, StatusWith(unknown), At(minutes(1))), "Ready").status(), "False");
}

TEST(NodeConditions, ASilentRuntimeIsDownAfterAWhile) {
  const RuntimeHealth health{.asked_since = kStart, .answered_at = kStart + Seconds(10)};
  EXPECT_THAT(*ReadinessProblems(health, false, kStart + Seconds(39)), IsEmpty());
  EXPECT_THAT(*ReadinessProblems(health, false, kStart + Seconds(40)), ElementsAre("container runtime is down"));
}

TEST(NodeConditions, NameEachReasonNotToBeReady) {
  const RuntimeHealth health{
      .asked_since = kStart,
      .answered_at = kStart,
      .runtime = RuntimeCondition{.ready = true},
      .network = RuntimeCondition{.reason = "NetworkPluginNotReady", .message = "cni plugin not initialized"}};
  const auto problems = ReadinessProblems(health, true, kStart);
  EXPECT_EQ(Find(NodeConditions(problems, {}, {}, {}, At({})), "Ready").message(),
            "[container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin "
            "not initialized, node is shutting down]");
}

TEST(NodeConditions, PressureHoldsForFiveMinutesAfterItsLastSight) {
  PressureMemory memory;
  const PressureSignals low{.memory = Amount{.available = 99 << 20, .capacity = 1 << 30}};
  const PressureSignals enough{.memory = Amount{.available = 100 << 20, .capacity = 1 << 30}};
  TakeNoteOfPressure(low, {}, kStart, memory);
  TakeNoteOfPressure(enough, {}, kStart + minutes(1), memory);
  const auto status = [&](Nanoseconds since) {
    return Find(NodeConditions(std::vector<std::string>{}, memory, {}, {}, At(since)), "MemoryPressure").status();
  };
  EXPECT_EQ(status(minutes(5) - Seconds(1)), "True");
  EXPECT_EQ(status(minutes(5)), "False");
  EXPECT_EQ(NextPressureChange(memory, {}, kStart), kStart + minutes(5));
  EXPECT_EQ(NextPressureChange(memory, {}, kStart + minutes(5)), std::nullopt);
  TakeNoteOfPressure(low, {}, kStart + minutes(4), memory);
  EXPECT_EQ(status(minutes(8)), "True");
}

TEST(NodeConditions, DiskPressureHasFourSources) {
  const Amount plenty{.available = 50, .capacity = 100};
  const Amount none{.available = 1, .capacity = 100};
  for (const auto field : {&PressureSignals::pod_disk, &PressureSignals::pod_disk_inodes, &PressureSignals::image_disk,
                           &PressureSignals::image_disk_inodes}) {
    PressureSignals signals{
        .pod_disk = plenty, .pod_disk_inodes = plenty, .image_disk = plenty, .image_disk_inodes = plenty};
    PressureMemory memory;
    TakeNoteOfPressure(signals, {}, kStart, memory);
    EXPECT_FALSE(memory.disk);
    signals.*field = none;
    TakeNoteOfPressure(signals, {}, kStart, memory);
    EXPECT_TRUE(memory.disk);
  }
}

TEST(NodeConditions, WhatCannotBeReadIsNoPressure) {
  PressureMemory memory;
  TakeNoteOfPressure({}, {}, kStart, memory);
  TakeNoteOfPressure({.pids = Amount{.available = 0, .capacity = 100}}, {}, kStart, memory);
  EXPECT_FALSE(memory.memory || memory.disk || memory.pids) << "PIDs have no threshold unless one is set";
  TakeNoteOfPressure({.pids = Amount{.available = 4, .capacity = 100}},
                     {.watched = {{.signal = EvictionSignal::kPids, .least = {.percent = 5}}}}, kStart, memory);
  EXPECT_TRUE(memory.pids);
}

// ST-08
TEST(NodeConditions, APressureOutlastsARestart) {
  PressureMemory memory;
  memory.disk = kStart;
  const auto conditions = NodeConditions(std::vector<std::string>{}, memory, {}, {}, At({}));
  const PressureMemory again = PressureMemoryOf(StatusWith(conditions), kStart + minutes(3));
  EXPECT_EQ(again.disk, kStart + minutes(3));
  EXPECT_FALSE(again.memory);
}

}  // namespace
}  // namespace daemonsetd::decide
