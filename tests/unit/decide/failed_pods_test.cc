#include "agent/decide/failed_pods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/daemon_set_pods.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const MonoTime kStart{std::chrono::hours(1)};

FailedPod Failed(int number) {
  return {.uid = "p" + std::to_string(number), .created_at = WallTime(Seconds(number)), .message = "OutOfcpu"};
}

// LC-03
TEST(FailedPods, AreReplacedTenTimesInTenMinutes) {
  FailedPodMemory memory;
  MonoTime now = kStart;
  int pods = 1;
  while (now < kStart + minutes(10)) {
    const FailedPodVerdict verdict = JudgeFailedPods("h", {Failed(pods)}, false, now, memory);
    if (verdict.replace) {
      ++pods;  // which fails at once
    } else {
      EXPECT_THAT(verdict.waiting_for, HasSubstr("OutOfcpu"));
      now = *verdict.look_again;
    }
  }
  EXPECT_EQ(pods, 10);
}

TEST(FailedPods, WaitAQuarterOfAnHourAtMost) {
  FailedPodMemory memory;
  MonoTime now = kStart;
  Nanoseconds longest{};
  for (int pod = 1; pod < 30; ++pod) {
    const auto verdict = JudgeFailedPods("h", {Failed(pod)}, false, now, memory);
    ASSERT_TRUE(verdict.look_again);
    longest = *verdict.look_again - now;
    now = *verdict.look_again;
  }
  EXPECT_EQ(longest, minutes(15));
}

TEST(FailedPods, OneIsKeptAsEvidence) {
  FailedPodMemory memory;
  const auto verdict = JudgeFailedPods("h", {Failed(2), Failed(3), Failed(1)}, false, kStart, memory);
  EXPECT_THAT(verdict.remove, ElementsAre("p2", "p1"));
  EXPECT_FALSE(verdict.replace);
}

// RO-14
TEST(FailedPods, ANewTemplateClearsTheBackOff) {
  FailedPodMemory memory;
  for (int pod = 1; pod < 10; ++pod) JudgeFailedPods("bad", {Failed(pod)}, false, kStart, memory);
  EXPECT_FALSE(JudgeFailedPods("bad", {Failed(9)}, false, kStart, memory).replace);
  EXPECT_TRUE(JudgeFailedPods("good", {Failed(9)}, false, kStart, memory).replace);
  EXPECT_TRUE(JudgeFailedPods("good", {Failed(9)}, false, kStart, memory).replace) << "until it is gone";
  EXPECT_EQ(JudgeFailedPods("good", {Failed(10)}, false, kStart, memory).look_again, kStart + Seconds(1));
}

TEST(FailedPods, AreForgottenAfterALongHealthyTime) {
  FailedPodMemory memory;
  for (int pod = 1; pod < 10; ++pod) JudgeFailedPods("h", {Failed(pod)}, false, kStart, memory);
  EXPECT_EQ(JudgeFailedPods("h", {}, true, kStart, memory).look_again, kStart + minutes(15));
  JudgeFailedPods("h", {}, false, kStart + minutes(10), memory);  // a break
  JudgeFailedPods("h", {}, true, kStart + minutes(10), memory);
  JudgeFailedPods("h", {}, true, kStart + minutes(24), memory);
  EXPECT_GT(memory.backoff.failures(), 0);
  JudgeFailedPods("h", {}, true, kStart + minutes(25), memory);
  EXPECT_EQ(memory.backoff.failures(), 0);
}

// ---- The rules around it: semantics.md section 5

Placement Runs() { return {.should_run = true, .should_keep_running = true}; }

std::vector<std::string> Deleted(const DaemonSetVerdict& verdict) {
  std::vector<std::string> ids;
  for (const auto& deletion : verdict.deletions) ids.push_back(deletion.id);
  return ids;
}

TEST(ManageDaemonPods, AFailedPodKeepsItsPlaceUntilItsReplacementIsDue) {
  const std::vector<DaemonPod> pods{{.id = "p", .failed = true}};
  const DaemonSetVerdict waiting = ManageDaemonPods(Runs(), pods, false, false);
  EXPECT_FALSE(waiting.create);
  EXPECT_THAT(Deleted(waiting), ElementsAre());
  EXPECT_THAT(Deleted(ManageDaemonPods(Runs(), pods, false, true)), ElementsAre("p"));
}

// PL-01
TEST(ManageDaemonPods, ABlockedStartKeepsARunningPod) {
  const Placement blocked{.should_run = false, .should_keep_running = true};
  EXPECT_FALSE(ManageDaemonPods(blocked, {}, false, true).create);
  EXPECT_THAT(Deleted(ManageDaemonPods(blocked, {{.id = "p"}}, false, true)), ElementsAre());
}

TEST(ManageDaemonPods, KeepsTheOldest) {
  const std::vector<DaemonPod> pods{
      {.id = "b", .name = "b"}, {.id = "unbound", .name = "a", .bound = false}, {.id = "a", .name = "a"}};
  EXPECT_THAT(Deleted(ManageDaemonPods(Runs(), pods, false, true)), ElementsAre("b", "unbound"));
}

// RO-05
TEST(ManageDaemonPods, ATerminatingPodHoldsThePlaceUnlessItHasEnded) {
  EXPECT_FALSE(ManageDaemonPods(Runs(), {{.id = "p", .terminating = true}}, false, true).create);
  EXPECT_TRUE(ManageDaemonPods(Runs(), {{.id = "p", .terminating = true, .failed = true}}, false, true).create);
}

}  // namespace
}  // namespace daemonsetd::decide
