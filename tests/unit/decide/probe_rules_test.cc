#include "agent/decide/probe_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

class ProbeRulesTest : public ::testing::Test {
 protected:
  ProbeRulesTest() : pod(testing::MakePod({"main"})), container(*pod.mutable_spec()->mutable_containers(0)) {}

  static void Set(corev1::Probe& probe, int success, int failure) {
    probe.set_periodseconds(10);
    probe.set_successthreshold(success);
    probe.set_failurethreshold(failure);
  }
  bool Apply(ProbeRole role, bool success) { return ApplyProbeResult(pod, container, role, success, instance); }

  corev1::Pod pod;
  corev1::Container& container;
  InstanceMemory instance;
};

TEST_F(ProbeRulesTest, WithoutProbesARunningContainerIsStartedAndReady) {
  EXPECT_TRUE(IsStarted(container, nullptr));
  EXPECT_TRUE(IsReady(container, nullptr));
}

// PB-02
TEST_F(ProbeRulesTest, WithoutAResultAContainerWithAReadinessProbeIsNotReady) {
  Set(*container.mutable_readinessprobe(), 1, 3);
  EXPECT_FALSE(IsReady(container, nullptr));
  EXPECT_FALSE(IsReady(container, &instance));
}

TEST_F(ProbeRulesTest, ReadinessFollowsItsThresholds) {
  Set(*container.mutable_readinessprobe(), 2, 3);
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, true));
  EXPECT_FALSE(IsReady(container, &instance));
  EXPECT_TRUE(Apply(ProbeRole::kReadiness, true));
  EXPECT_TRUE(IsReady(container, &instance));
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, false));
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, false));
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, true)) << "a success between two failures counts anew";
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, false));
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, false));
  EXPECT_TRUE(IsReady(container, &instance));
  EXPECT_TRUE(Apply(ProbeRole::kReadiness, false));
  EXPECT_FALSE(IsReady(container, &instance));
}

// PB-01: what was known before a restart of the agent holds until real failures say otherwise.
TEST_F(ProbeRulesTest, AKnownReadyStaysUntilTheThresholdOfFailures) {
  Set(*container.mutable_readinessprobe(), 1, 3);
  instance.ready = true;
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, false));
  EXPECT_FALSE(Apply(ProbeRole::kReadiness, false));
  EXPECT_TRUE(IsReady(container, &instance));
  EXPECT_TRUE(Apply(ProbeRole::kReadiness, false));
  EXPECT_FALSE(IsReady(container, &instance));
}

// PB-03, PB-04
TEST_F(ProbeRulesTest, NothingButTheStartupProbeRunsBeforeItSucceeded) {
  Set(*container.mutable_startupprobe(), 1, 30);
  Set(*container.mutable_livenessprobe(), 1, 3);
  Set(*container.mutable_readinessprobe(), 1, 3);
  instance.ready = true;  // from a life in which the probe had not been defined
  EXPECT_TRUE(ShouldProbe(container, ProbeRole::kStartup, &instance, false));
  EXPECT_FALSE(ShouldProbe(container, ProbeRole::kLiveness, &instance, false));
  EXPECT_FALSE(ShouldProbe(container, ProbeRole::kReadiness, &instance, false));
  EXPECT_FALSE(IsReady(container, &instance));
  EXPECT_TRUE(Apply(ProbeRole::kStartup, true));
  EXPECT_TRUE(IsStarted(container, &instance));
  EXPECT_FALSE(ShouldProbe(container, ProbeRole::kStartup, &instance, false));
  EXPECT_TRUE(ShouldProbe(container, ProbeRole::kLiveness, &instance, false));
  EXPECT_TRUE(ShouldProbe(container, ProbeRole::kReadiness, &instance, false));
}

TEST_F(ProbeRulesTest, AContainerWhosePostStartHookRunsIsNotStarted) {
  Set(*container.mutable_startupprobe(), 1, 30);
  Set(*container.mutable_livenessprobe(), 1, 3);
  instance.post_start_pending = true;
  instance.started = true;
  EXPECT_FALSE(IsStarted(container, &instance));
  EXPECT_FALSE(ShouldProbe(container, ProbeRole::kStartup, &instance, false));
  EXPECT_FALSE(ShouldProbe(container, ProbeRole::kLiveness, &instance, false));
}

// PB-05, PB-06
TEST_F(ProbeRulesTest, OnlyReadinessIsProbedWhileThePodEnds) {
  Set(*container.mutable_livenessprobe(), 1, 3);
  Set(*container.mutable_readinessprobe(), 1, 3);
  EXPECT_FALSE(ShouldProbe(container, ProbeRole::kLiveness, &instance, true));
  EXPECT_TRUE(ShouldProbe(container, ProbeRole::kReadiness, &instance, true));
}

// PB-11
TEST_F(ProbeRulesTest, TheGraceOfTheProbeWinsForItsOwnKill) {
  pod.mutable_spec()->set_terminationgraceperiodseconds(600);
  Set(*container.mutable_livenessprobe(), 1, 1);
  container.mutable_livenessprobe()->set_terminationgraceperiodseconds(5);
  EXPECT_TRUE(Apply(ProbeRole::kLiveness, false));
  ASSERT_TRUE(instance.kill);
  EXPECT_EQ(instance.kill->grace, seconds(5));
  EXPECT_THAT(instance.kill->message, HasSubstr("Container main failed liveness probe, will be restarted"));
  EXPECT_FALSE(ShouldProbe(container, ProbeRole::kLiveness, &instance, false));
}

TEST_F(ProbeRulesTest, AStartupProbeThatNeverSucceedsEndsTheContainerWithThePodsGrace) {
  Set(*container.mutable_startupprobe(), 1, 2);
  EXPECT_FALSE(Apply(ProbeRole::kStartup, false));
  EXPECT_FALSE(instance.kill);
  EXPECT_TRUE(Apply(ProbeRole::kStartup, false));
  ASSERT_TRUE(instance.kill);
  EXPECT_EQ(instance.kill->grace, seconds(30));
}

TEST_F(ProbeRulesTest, TheFirstProbeComesAfterTheInitialDelayOfTheContainersLife) {
  corev1::Probe probe;
  probe.set_periodseconds(10);
  probe.set_initialdelayseconds(20);
  EXPECT_EQ(FirstProbeDelay(probe, seconds(0), false, "c0"), seconds(20));
  EXPECT_EQ(FirstProbeDelay(probe, seconds(15), false, "c0"), seconds(5));
  EXPECT_EQ(FirstProbeDelay(probe, minutes(5), false, "c0"), seconds(0));
  EXPECT_EQ(FirstProbeDelay(probe, -minutes(5), false, "c0"), seconds(20)) << "a clock that was set back";
}

TEST_F(ProbeRulesTest, AdoptedContainersAreNotProbedAllAtOnce) {
  corev1::Probe probe;
  probe.set_periodseconds(10);
  const Nanoseconds one = FirstProbeDelay(probe, minutes(5), true, "c0");
  const Nanoseconds two = FirstProbeDelay(probe, minutes(5), true, "c1");
  EXPECT_NE(one, two);
  EXPECT_LT(one, seconds(10));
  EXPECT_LT(two, seconds(10));
}

}  // namespace
}  // namespace daemonsetd::decide
