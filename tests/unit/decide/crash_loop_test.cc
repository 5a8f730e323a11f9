#include "agent/decide/crash_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/labels.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr BackoffLimits kNode{.initial = seconds(10), .maximum = minutes(5), .reset_after = minutes(10)};

corev1::Pod WithAnnotation(const char* key, const std::string& value) {
  corev1::Pod pod;
  (*pod.mutable_metadata()->mutable_annotations())[key] = value;
  return pod;
}

TEST(CrashLoopTest, TheNodesLimitsHoldForAPodThatSaysNothing) {
  const CrashLoop result = CrashLoopOf(corev1::Pod(), kNode);
  EXPECT_EQ(result.limits.initial, seconds(10));
  EXPECT_EQ(result.limits.maximum, minutes(5));
  EXPECT_EQ(result.limits.reset_after, minutes(10));
  EXPECT_THAT(result.problems, IsEmpty());
}

TEST(CrashLoopTest, APodMayWaitLessOrLonger) {  // LC-24
  EXPECT_EQ(CrashLoopOf(WithAnnotation(kCrashLoopMaximumAnnotation, "30s"), kNode).limits.maximum, seconds(30));
  EXPECT_EQ(CrashLoopOf(WithAnnotation(kCrashLoopMaximumAnnotation, "1h"), kNode).limits.maximum, hours(1));
  EXPECT_EQ(CrashLoopOf(WithAnnotation(kCrashLoopResetAfterAnnotation, "90s"), kNode).limits.reset_after, seconds(90));
}

TEST(CrashLoopTest, TheFirstWaitIsNeverLongerThanTheLongest) {
  EXPECT_EQ(CrashLoopOf(WithAnnotation(kCrashLoopMaximumAnnotation, "2s"), kNode).limits.initial, seconds(2));
}

TEST(CrashLoopTest, WhatCannotBeReadIsToldAndChangesNothing) {
  const CrashLoop low = CrashLoopOf(WithAnnotation(kCrashLoopMaximumAnnotation, "500ms"), kNode);
  EXPECT_EQ(low.limits.maximum, minutes(5));
  EXPECT_THAT(low.problems, ElementsAre("metadata.annotations[daemonsetd.dev/crash-loop-back-off-maximum]: 500ms is "
                                        "not between 1s and 1h0m0s"));
  const CrashLoop high = CrashLoopOf(WithAnnotation(kCrashLoopMaximumAnnotation, "61m"), kNode);
  EXPECT_EQ(high.limits.maximum, minutes(5));
  EXPECT_EQ(high.problems.size(), 1u);
  const CrashLoop text = CrashLoopOf(WithAnnotation(kCrashLoopResetAfterAnnotation, "soon"), kNode);
  EXPECT_EQ(text.limits.reset_after, minutes(10));
  EXPECT_EQ(text.problems.size(), 1u);
}

}  // namespace
}  // namespace daemonsetd::decide
