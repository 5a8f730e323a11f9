#include "agent/decide/liveness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const MonoTime kNow(hours(100));

std::vector<std::string> Stuck(const LifeSigns& signs) {
  std::vector<std::string> stuck;
  for (const HealthCheck& check : CheckLiveness(signs, kNow)) {
    EXPECT_EQ(check.passed, check.detail.empty()) << check.name;
    if (!check.passed) stuck.push_back(check.name + ": " + check.detail);
  }
  return stuck;
}

TEST(Liveness, NothingExpectedIsAlive) { EXPECT_THAT(Stuck({}), IsEmpty()); }

TEST(Liveness, WhatIsDueLaterOrALittleLateIsAlive) {
  EXPECT_THAT(Stuck({.pool_asked = kNow - minutes(9),
                     .runtime_due = kNow - seconds(59),
                     .checkpoint_due = kNow - seconds(59),
                     .checkpoint_writing = kNow - minutes(9)}),
              IsEmpty());
  EXPECT_THAT(Stuck({.runtime_due = kNow + hours(1), .checkpoint_due = MonoTime::max()}), IsEmpty());
}

TEST(Liveness, AThreadPoolThatAnswersNothingIsToldWithItsTime) {
  EXPECT_THAT(Stuck({.pool_asked = kNow - minutes(10) - seconds(1)}),
              ElementsAre("blocking calls: the threads for file systems and name look-ups have ended nothing for "
                          "10m1s"));
}

TEST(Liveness, ARuntimeThatIsNotAskedAnyMoreIsOurFault) {
  EXPECT_THAT(Stuck({.runtime_due = kNow - seconds(61)}),
              ElementsAre("runtime view: the next list of the container runtime is overdue for 1m1s"));
}

TEST(Liveness, ACheckpointThatHangsOrIsNeverBegunIsToldOnce) {
  EXPECT_THAT(Stuck({.checkpoint_writing = kNow - minutes(11)}),
              ElementsAre("checkpoint: a writing of the checkpoint has not ended for 11m0s"));
  EXPECT_THAT(Stuck({.checkpoint_due = kNow - minutes(2)}),
              ElementsAre("checkpoint: the next writing of the checkpoint is overdue for 2m0s"));
  EXPECT_THAT(Stuck({.checkpoint_due = kNow - minutes(2), .checkpoint_writing = kNow - minutes(11)}),
              ElementsAre("checkpoint: a writing of the checkpoint has not ended for 11m0s"));
}

}  // namespace
}  // namespace daemonsetd::decide
