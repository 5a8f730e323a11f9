#include "agent/async/task_scope.h"

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/async/wake.h"
#include "tests/support/loop.h"

namespace daemonsetd::async {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::TestLoop;

class TaskScopeTest : public ::testing::Test {
 protected:
  void TearDown() override {
    scope_.Cancel();
    loop_.Run(scope_.Join());
  }

  TestLoop loop_;
  TaskScope scope_{loop_.executor()};
  int ended_ = 0;
};

Task<void> Sleep(Timeline& timeline, Nanoseconds duration) { co_await timeline.SleepFor(duration); }

Task<void> Count(int* counter) {
  ++*counter;
  co_return;
}

// Sleeps for ever; once cancelled, needs `clean_up` to end.
Task<void> StopSlowly(Timeline& timeline, Nanoseconds clean_up) {
  try {
    co_await timeline.SleepFor(hours(1000));
  } catch (const boost::system::system_error&) {
  }
  co_await kDeafToCancellation;
  co_await timeline.SleepFor(clean_up);
}

TEST_F(TaskScopeTest, StartsTasksOnALaterTurn) {
  int counter = 0;
  scope_.Spawn("count", Count(&counter));
  EXPECT_EQ(counter, 0);
  EXPECT_EQ(scope_.size(), 1u);
  loop_.Settle();
  EXPECT_EQ(counter, 1);
  EXPECT_TRUE(scope_.empty());
}

TEST_F(TaskScopeTest, CallsOnEndAfterTheTaskLeftTheScope) {
  bool empty_at_end = false;
  scope_.Spawn("sleep", Sleep(loop_.timeline(), seconds(1)), [&] { empty_at_end = scope_.empty(); });
  loop_.Advance(seconds(1));
  EXPECT_TRUE(empty_at_end);
}

TEST_F(TaskScopeTest, JoinWithNothingRunningCompletesAtOnce) { EXPECT_TRUE(loop_.Start(scope_.Join())->done()); }

TEST_F(TaskScopeTest, CancelThenJoinWaitsForTheCleanUp) {
  scope_.Spawn("slow", StopSlowly(loop_.timeline(), seconds(5)));
  loop_.Settle();
  scope_.Cancel();
  auto join = loop_.Start(scope_.Join());
  EXPECT_FALSE(join->done());
  loop_.Advance(seconds(5));
  EXPECT_TRUE(join->done());
}

TEST_F(TaskScopeTest, CancellingTwiceIsHarmless) {
  for (int i = 0; i < 3; ++i) scope_.Spawn("slow", StopSlowly(loop_.timeline(), seconds(5)), [&] { ++ended_; });
  loop_.Settle();
  scope_.Cancel();
  scope_.Cancel();
  loop_.Settle();
  scope_.Cancel();
  loop_.Advance(seconds(5));
  EXPECT_EQ(ended_, 3);
  scope_.Cancel();
  loop_.Settle();
}

TEST_F(TaskScopeTest, ATaskCancelledBeforeItsFirstTurnNeverRuns) {
  int counter = 0;
  scope_.Spawn("count", Count(&counter), [&] { ++ended_; });
  scope_.Cancel();
  loop_.Settle();
  EXPECT_EQ(ended_, 1);
  EXPECT_LE(counter, 1);
}

TEST_F(TaskScopeTest, TasksSpawnedAfterCancelRunOn) {
  scope_.Spawn("first", Sleep(loop_.timeline(), hours(1)), [&] { ++ended_; });
  loop_.Settle();
  scope_.Cancel();
  int counter = 0;
  scope_.Spawn("second", Count(&counter));
  scope_.Spawn("third", Sleep(loop_.timeline(), hours(1)));
  loop_.Settle();
  EXPECT_EQ(ended_, 1);
  EXPECT_EQ(counter, 1);
  EXPECT_EQ(scope_.size(), 1u);
}

TEST_F(TaskScopeTest, OnEndMaySpawnAgainAndJoinWaitsForThatToo) {
  scope_.Spawn("first", Sleep(loop_.timeline(), seconds(1)),
               [&] { scope_.Spawn("second", Sleep(loop_.timeline(), seconds(1)), [&] { ++ended_; }); });
  auto join = loop_.Start(scope_.Join());
  loop_.Advance(seconds(1));
  EXPECT_FALSE(join->done());
  loop_.Advance(seconds(1));
  EXPECT_TRUE(join->done());
  EXPECT_EQ(ended_, 1);
}

TEST_F(TaskScopeTest, JoinIsNotInterruptedByCancellationOfTheCaller) {
  scope_.Spawn("sleep", Sleep(loop_.timeline(), seconds(5)), [&] { ++ended_; });
  auto join = loop_.Start(scope_.Join());
  loop_.Cancel(join);
  EXPECT_FALSE(join->done());
  loop_.Advance(seconds(5));
  EXPECT_TRUE(join->done());
  EXPECT_EQ(ended_, 1);
}

Task<void> OwnAScope(Timeline& timeline, int* ended) {
  TaskScope inner(co_await boost::asio::this_coro::executor);
  for (int i = 0; i < 3; ++i) inner.Spawn("inner", StopSlowly(timeline, seconds(i)), [ended] { ++*ended; });
  try {
    co_await timeline.SleepFor(hours(1000));
  } catch (const boost::system::system_error&) {
  }
  co_await kDeafToCancellation;
  inner.Cancel();
  co_await inner.Join();
}

// Holds a scope with one slow task, and then has something of its own to close.
Task<void> HoldAndClose(TaskScope& scope, Timeline& timeline, bool* closed) {
  scope.Spawn("slow", StopSlowly(timeline, seconds(5)));
  co_await scope.HoldUntilCancelled();
  co_await timeline.SleepFor(seconds(1));
  *closed = true;
}

TEST_F(TaskScopeTest, HoldsUntilCancelledThenWaitsAndLetsTheCallerClose) {
  bool closed = false;
  const auto held = loop_.Start(HoldAndClose(scope_, loop_.timeline(), &closed));
  loop_.Advance(hours(1));
  EXPECT_FALSE(held->done());
  held->cancel.emit(boost::asio::cancellation_type::terminal);
  loop_.Advance(seconds(4));
  EXPECT_EQ(scope_.size(), 1u) << "the task is still cleaning up";
  EXPECT_FALSE(closed);
  loop_.Advance(seconds(3));
  EXPECT_TRUE(scope_.empty());
  EXPECT_TRUE(closed);
  EXPECT_TRUE(held->done());
  EXPECT_FALSE(held->threw());
}

TEST_F(TaskScopeTest, ScopesNest) {
  scope_.Spawn("outer", OwnAScope(loop_.timeline(), &ended_));
  loop_.Settle();
  scope_.Cancel();
  loop_.Run(scope_.Join());
  EXPECT_EQ(ended_, 3);
}

Task<void> CancelOwnScope(TaskScope& scope, Timeline& timeline) {
  scope.Cancel();
  co_await timeline.SleepFor(hours(1));
}

TEST_F(TaskScopeTest, ATaskMayCancelItsOwnScope) {
  scope_.Spawn("suicide", CancelOwnScope(scope_, loop_.timeline()), [&] { ++ended_; });
  scope_.Spawn("sleep", Sleep(loop_.timeline(), hours(1)), [&] { ++ended_; });
  loop_.Settle();
  EXPECT_EQ(ended_, 2);
}

Task<void> WakeOtherAtTheEnd(Wake& mine, Wake& other) {
  try {
    co_await mine.Wait();
  } catch (const boost::system::system_error&) {
  }
  other.Notify();
}

TEST_F(TaskScopeTest, ATaskThatEndsWhileOthersAreBeingCancelledIsNotTouchedAgain) {
  Wake first(loop_.executor());
  Wake second(loop_.executor());
  scope_.Spawn("first", WakeOtherAtTheEnd(first, second), [&] { ++ended_; });
  scope_.Spawn("second", WakeOtherAtTheEnd(second, first), [&] { ++ended_; });
  loop_.Settle();
  scope_.Cancel();
  first.Notify();
  loop_.Settle();
  EXPECT_EQ(ended_, 2);
}

Task<void> Fail() {
  throw std::runtime_error("broken invariant");
  co_return;
}

TEST(TaskScopeDeathTest, AnExceptionThatIsNotCancellationAbortsAndNamesTheTask) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        TestLoop loop;
        TaskScope scope(loop.executor());
        scope.Spawn("the-worker", Fail());
        loop.Settle();
      },
      "the-worker");
}

TEST(TaskScopeDeathTest, AScopeDestroyedWithARunningTaskAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        TestLoop loop;
        TaskScope scope(loop.executor());
        scope.Spawn("the-sleeper", Sleep(loop.timeline(), seconds(1)));
        loop.Settle();
      },
      "the-sleeper");
}

}  // namespace
}  // namespace daemonsetd::async
