#include "agent/decide/certificate_rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

using ::testing::HasSubstr;
using Action = RotationStep::Action;
using Hours = std::chrono::hours;

const WallTime kStart{std::chrono::hours(24 * 365 * 50)};
constexpr char kUser[] = "daemonsetd:node:edge-17";

CertificateFacts Certificate() {
  return {.user = kUser, .groups = {"daemonsetd:nodes"}, .not_before = kStart, .not_after = kStart + Hours(100)};
}

RotationInput At(Nanoseconds after_start, double dice = 0.5) {
  return {.certificate = Certificate(),
          .user = kUser,
          .managed = true,
          .has_bootstrap = true,
          .dice = dice,
          .now = kStart + after_start};
}

TEST(CertificateRotation, RenewsBetween70And90PercentOfTheLifetime) {
  EXPECT_EQ(RenewalTime(Certificate(), 0.0), kStart + Hours(70));
  EXPECT_EQ(RenewalTime(Certificate(), 0.5), kStart + Hours(80));
  EXPECT_LE(RenewalTime(Certificate(), 0.999999), kStart + Hours(90));
  EXPECT_EQ(StepRotation(At(Hours(79))).action, Action::kWait);
  EXPECT_EQ(StepRotation(At(Hours(81))).action, Action::kRenew);
  EXPECT_EQ(StepRotation(At(Hours(81))).problem, "");
  EXPECT_EQ(StepRotation(At(Hours(71), 0.0)).action, Action::kRenew);
  EXPECT_EQ(StepRotation(At(Hours(71), 0.9)).action, Action::kWait);
}

TEST(CertificateRotation, LooksAgainWithinAMinuteAndNoLaterThanTheRenewal) {
  EXPECT_EQ(StepRotation(At(Hours(1))).look_again, std::chrono::minutes(1));
  EXPECT_EQ(StepRotation(At(Hours(80) - Seconds(5))).look_again, Seconds(5));
}

TEST(CertificateRotation, AnExpiredOneIsReplacedThroughBootstrap) {
  RotationInput input = At(Hours(100));
  EXPECT_EQ(StepRotation(input).action, Action::kBootstrap);
  EXPECT_THAT(StepRotation(input).problem, HasSubstr("expired at"));
  input.has_bootstrap = false;
  EXPECT_EQ(StepRotation(input).action, Action::kWait);
  EXPECT_THAT(StepRotation(input).problem, HasSubstr("run daemonsetctl join --force"));
}

TEST(CertificateRotation, AMissingOneIsReplacedThroughBootstrapToo) {
  RotationInput input = At(Hours(1));
  input.certificate.reset();
  input.reason = "there is no such file";
  EXPECT_EQ(StepRotation(input).action, Action::kBootstrap);
  EXPECT_THAT(StepRotation(input).problem, HasSubstr("there is no such file"));
}

TEST(CertificateRotation, WhatSomebodyElseManagesIsLeftAlone) {
  for (const Nanoseconds age : {Nanoseconds(Hours(95)), Nanoseconds(Hours(200))}) {
    RotationInput input = At(age);
    input.managed = false;
    EXPECT_EQ(StepRotation(input).action, Action::kWait);
    EXPECT_EQ(StepRotation(input).problem.empty(), age < Hours(100));
  }
}

TEST(CertificateRotation, AClockThatIsWrongByHoursAsksForNothing) {
  const RotationStep step = StepRotation(At(-Hours(3)));
  EXPECT_EQ(step.action, Action::kWait);
  EXPECT_EQ(step.look_again, std::chrono::minutes(1));
  EXPECT_THAT(step.problem, HasSubstr("set the clock"));
}

TEST(CertificateRotation, TheCertificateOfAnotherNodeIsNotRenewed) {
  RotationInput input = At(Hours(95));
  input.user = "daemonsetd:node:edge-18";
  EXPECT_EQ(StepRotation(input).action, Action::kWait);
  EXPECT_THAT(StepRotation(input).problem, HasSubstr("edge-18"));
}

TEST(CertificateRotation, SurvivesALifetimeOfNothing) {
  RotationInput input = At(Hours(1));
  input.certificate->not_after = input.certificate->not_before - Hours(1);
  EXPECT_EQ(RenewalTime(*input.certificate, 0.5), kStart);
  EXPECT_EQ(StepRotation(input).action, Action::kBootstrap);
}

TEST(CertificateRotation, WhatWasIssuedMustBeWhatWasAskedForAndValidNow) {
  const std::vector<std::string> groups = {"daemonsetd:nodes"};
  EXPECT_TRUE(CheckIssued(Certificate(), kUser, groups, kStart + Hours(1)));
  EXPECT_FALSE(CheckIssued(Certificate(), "daemonsetd:node:edge-18", groups, kStart + Hours(1)));
  EXPECT_FALSE(CheckIssued(Certificate(), kUser, {"daemonsetd:nodes", "system:masters"}, kStart + Hours(1)));
  EXPECT_FALSE(CheckIssued(Certificate(), kUser, groups, kStart + Hours(101)));
  const Status early = CheckIssued(Certificate(), kUser, groups, kStart - Hours(1));
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message(), HasSubstr("set the clock"));
}

}  // namespace
}  // namespace daemonsetd::decide
