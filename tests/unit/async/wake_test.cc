#include "agent/async/wake.h"

#include <gtest/gtest.h>

#include "tests/support/loop.h"

namespace daemonsetd::async {
namespace {

using std::chrono::seconds;
using testing::TestLoop;

class WakeTest : public ::testing::Test {
 protected:
  Task<bool> Wait(std::optional<Nanoseconds> patience = std::nullopt) {
    return wake_.WaitUntil(loop_.timeline(),
                           patience ? std::optional(loop_.timeline().mono() + *patience) : std::nullopt);
  }

  TestLoop loop_;
  Wake wake_{loop_.executor()};
};

TEST_F(WakeTest, NotifyEndsTheWait) {
  auto wait = loop_.Start(Wait());
  EXPECT_FALSE(wait->done());
  wake_.Notify();
  loop_.Settle();
  ASSERT_TRUE(wait->done());
  EXPECT_TRUE(*wait->value);
}

TEST_F(WakeTest, ManyNotificationsBetweenTwoWaitsCountAsOne) {
  for (int i = 0; i < 5; ++i) wake_.Notify();
  EXPECT_TRUE(loop_.Run(Wait()));
  EXPECT_FALSE(loop_.Start(Wait())->done());
}

TEST_F(WakeTest, ManyNotificationsDuringAWaitCountAsOne) {
  auto wait = loop_.Start(Wait());
  for (int i = 0; i < 5; ++i) wake_.Notify();
  loop_.Settle();
  ASSERT_TRUE(wait->done());
  EXPECT_FALSE(loop_.Start(Wait())->done());
}

TEST_F(WakeTest, TheDeadlineEndsTheWait) {
  auto wait = loop_.Start(Wait(seconds(5)));
  loop_.Advance(seconds(4));
  EXPECT_FALSE(wait->done());
  loop_.Advance(seconds(1));
  ASSERT_TRUE(wait->done());
  EXPECT_FALSE(*wait->value);
}

TEST_F(WakeTest, ADeadlineInThePastDoesNotHideANotification) {
  EXPECT_FALSE(loop_.Run(Wait(seconds(-1))));
  wake_.Notify();
  EXPECT_TRUE(loop_.Run(Wait(seconds(-1))));
}

TEST_F(WakeTest, NotificationAndDeadlineAtOnceCountAsNotified) {
  auto wait = loop_.Start(Wait(seconds(5)));
  loop_.timeline().set_settle(nullptr);
  loop_.timeline().Advance(seconds(5));
  wake_.Notify();
  loop_.Settle();
  ASSERT_TRUE(wait->done());
  EXPECT_TRUE(*wait->value);
  EXPECT_EQ(loop_.timeline().alarms(), 0u);
}

TEST_F(WakeTest, ANotifiedWaitDisarmsItsAlarm) {
  auto wait = loop_.Start(Wait(seconds(5)));
  EXPECT_EQ(loop_.timeline().alarms(), 1u);
  wake_.Notify();
  loop_.Settle();
  EXPECT_EQ(loop_.timeline().alarms(), 0u);
}

TEST_F(WakeTest, CancellationThrowsAndKeepsTheNotification) {
  auto wait = loop_.Start(Wait(seconds(5)));
  wake_.Notify();
  loop_.Cancel(wait);
  loop_.Settle();
  ASSERT_TRUE(wait->done());
  if (wait->threw()) {
    EXPECT_TRUE(loop_.Run(Wait(seconds(5))));
  }
  auto second = loop_.Start(Wait(seconds(5)));
  loop_.Cancel(second);
  ASSERT_TRUE(second->threw());
  wake_.Notify();
  EXPECT_TRUE(loop_.Run(Wait()));
}

}  // namespace
}  // namespace daemonsetd::async
