#include "agent/async/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/async/system_timeline.h"
#include "agent/async/wake.h"
#include "tests/support/loop.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::async {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::TestLoop;

Task<void> Note(Timeline& timeline, MonoTime when, int number, std::vector<int>* notes) {
  co_await timeline.SleepUntil(when);
  notes->push_back(number);
}

TEST(FakeTimeline, WakesSleepersInTheOrderOfTheirTime) {
  TestLoop loop;
  std::vector<int> notes;
  const MonoTime start = loop.timeline().mono();
  auto a = loop.Start(Note(loop.timeline(), start + seconds(3), 3, &notes));
  auto b = loop.Start(Note(loop.timeline(), start + seconds(1), 1, &notes));
  auto c = loop.Start(Note(loop.timeline(), start + seconds(2), 2, &notes));
  auto d = loop.Start(Note(loop.timeline(), start + seconds(2), 20, &notes));
  loop.Advance(seconds(2));
  EXPECT_THAT(notes, ::testing::ElementsAre(1, 2, 20));
  EXPECT_EQ(loop.timeline().mono(), start + seconds(2));
  loop.Advance(seconds(10));
  EXPECT_THAT(notes, ::testing::ElementsAre(1, 2, 20, 3));
}

Task<MonoTime> SleepTwice(Timeline& timeline) {
  co_await timeline.SleepFor(seconds(1));
  co_await timeline.SleepFor(seconds(1));
  co_return timeline.mono();
}

TEST(FakeTimeline, ASleepThatFollowsASleepIsMetOnTheSameAdvance) {
  TestLoop loop;
  const MonoTime start = loop.timeline().mono();
  auto task = loop.Start(SleepTwice(loop.timeline()));
  loop.Advance(seconds(5));
  ASSERT_TRUE(task->done());
  EXPECT_EQ(*task->value, start + seconds(2));
}

TEST(FakeTimeline, BothClocksMoveTogether) {
  TestLoop loop;
  const Now before = loop.timeline().Read();
  loop.Run(loop.timeline().SleepFor(seconds(90)));
  const Now after = loop.timeline().Read();
  EXPECT_EQ(after.mono - before.mono, seconds(90));
  EXPECT_EQ(after.wall - before.wall, seconds(90));
}

Task<void> WaitForEver() {
  Wake nobody(co_await boost::asio::this_coro::executor);
  co_await nobody.Wait();
}

TEST(TestLoop, GivesUpOnATaskThatNeverEnds) {
  TestLoop loop(milliseconds(100));
  EXPECT_THROW(loop.Run(WaitForEver()), std::runtime_error);
}

class SystemTimelineTest : public ::testing::Test {
 protected:
  TestLoop loop_;
  SystemTimeline timeline_;
};

TEST_F(SystemTimelineTest, SleepsUntilTheMoment) {
  const MonoTime when = timeline_.mono() + milliseconds(20);
  loop_.Run(timeline_.SleepUntil(when), TestLoop::Clock::kStands);
  EXPECT_GE(timeline_.mono(), when);
}

TEST_F(SystemTimelineTest, AMomentInThePastIsNotWaitedFor) {
  EXPECT_TRUE(loop_.Start(timeline_.SleepUntil(timeline_.mono() - seconds(1)))->done());
}

TEST_F(SystemTimelineTest, ACancelledSleepThrows) {
  auto sleep = loop_.Start(timeline_.SleepFor(seconds(100)));
  loop_.Cancel(sleep);
  ASSERT_TRUE(sleep->threw());
  try {
    std::rethrow_exception(sleep->error);
  } catch (const boost::system::system_error& error) {
    EXPECT_EQ(error.code(), boost::asio::error::operation_aborted);
  }
}

TEST_F(SystemTimelineTest, ADestroyedAlarmNeverRings) {
  bool rang = false;
  auto alarm = timeline_.SetAlarm(loop_.executor(), timeline_.mono() - seconds(1), [&] { rang = true; });
  alarm.reset();
  loop_.Settle();
  EXPECT_FALSE(rang);
}

TEST_F(SystemTimelineTest, AnAlarmMayDestroyItselfWhenItRings) {
  bool rang = false;
  std::unique_ptr<Timeline::Alarm> alarm;
  alarm = timeline_.SetAlarm(loop_.executor(), timeline_.mono(), [&] {
    alarm.reset();
    rang = true;
  });
  loop_.RunUntil(rang);
  EXPECT_TRUE(rang);
}

}  // namespace
}  // namespace daemonsetd::async
