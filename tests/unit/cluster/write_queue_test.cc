#include "agent/cluster/write_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>

#include "tests/support/loop.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class WriteQueueTest : public ::testing::Test {
 protected:
  ~WriteQueueTest() override { loop.Run(queue.Close()); }

  // A write that takes a second, and ends as the next of `answers` says.
  Task<Status> Write() {
    ++begun;
    co_await loop.timeline().SleepFor(seconds(1));
    if (answers.empty()) co_return Ok();
    const Status answer = answers.front();
    answers.pop_front();
    co_return answer;
  }
  void Ask(const std::string& key = "status a") {
    queue.Ask(key, "status of pod a", seconds(5), [this] { return Write(); });
    loop.Settle();
  }

  testing::TestLoop loop;
  int changes = 0;
  int begun = 0;
  std::deque<Status> answers;
  WriteQueue queue{loop.executor(), loop.timeline(), [this] { ++changes; }};
};

TEST_F(WriteQueueTest, MakesOneAtATimeForEachKey) {
  Ask();
  Ask();
  EXPECT_EQ(begun, 1);
  EXPECT_TRUE(queue.IsUnderWay("status a"));
  Ask("status b");
  EXPECT_EQ(begun, 2);
  loop.Advance(seconds(1));
  EXPECT_FALSE(queue.IsUnderWay("status a"));
  EXPECT_EQ(changes, 2);
}

TEST_F(WriteQueueTest, AfterSuccessItWaitsForTheWatch) {
  Ask();
  loop.Advance(seconds(1));
  Ask();
  EXPECT_EQ(begun, 1) << "the watch has not shown it yet";
  ASSERT_TRUE(queue.NextTry());
  EXPECT_EQ(*queue.NextTry(), loop.timeline().mono() + seconds(5));
  loop.Advance(seconds(5));
  EXPECT_FALSE(queue.NextTry());
  Ask();
  EXPECT_EQ(begun, 2);
}

TEST_F(WriteQueueTest, AFailureIsTriedAgainAfterABackOffThatGrows) {
  for (int i = 0; i < 3; ++i) answers.push_back(Error(ErrorKind::kDenied, "quota exceeded"));
  Ask();
  loop.Advance(seconds(1));
  EXPECT_EQ(queue.ErrorOf("status a"), "quota exceeded");
  Ask();
  EXPECT_EQ(begun, 1);
  loop.Advance(milliseconds(500));
  Ask();
  EXPECT_EQ(begun, 2);
  loop.Advance(seconds(1));
  loop.Advance(milliseconds(500));
  Ask();
  EXPECT_EQ(begun, 2) << "the second wait is longer";
  loop.Advance(milliseconds(500));
  Ask();
  EXPECT_EQ(begun, 3);
}

TEST_F(WriteQueueTest, SuccessEndsTheError) {
  answers.push_back(Error(ErrorKind::kRetry, "connection refused"));
  Ask();
  loop.Advance(seconds(2));
  Ask();
  loop.Advance(seconds(1));
  EXPECT_EQ(queue.ErrorOf("status a"), "");
}

TEST_F(WriteQueueTest, AConflictIsNoFailure) {
  for (int i = 0; i < 9; ++i) answers.push_back(Error(ErrorKind::kConflict, "the object has been modified"));
  for (int i = 1; i <= 9; ++i) {
    Ask();
    EXPECT_EQ(begun, i);
    loop.Advance(seconds(7));
  }
  EXPECT_EQ(queue.ErrorOf("status a"), "");
}

TEST_F(WriteQueueTest, AWatchThatLagsBehindIsNotRushed) {
  for (int i = 0; i < 99; ++i) answers.push_back(Error(ErrorKind::kConflict, "the object has been modified"));
  for (int i = 0; i < 60; ++i) {
    Ask();
    loop.Advance(seconds(1));
  }
  EXPECT_LT(begun, 20);
}

TEST_F(WriteQueueTest, WhatIsNotThereAnyMoreIsLeftToTheWatch) {
  answers.push_back(Error(ErrorKind::kAbsent, "not found"));
  Ask();
  loop.Advance(seconds(4));
  Ask();
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(queue.ErrorOf("status a"), "");
  loop.Advance(seconds(2));
  Ask();
  EXPECT_EQ(begun, 2);
}

TEST_F(WriteQueueTest, ClosingEndsWhatIsUnderWay) {
  Ask();
  loop.Run(queue.Close());
  EXPECT_FALSE(queue.IsUnderWay("status a"));
}

TEST_F(WriteQueueTest, ForgetsWhatNobodyAsksForAnyMore) {
  answers.push_back(Error(ErrorKind::kDenied, "forbidden"));
  Ask();
  loop.Advance(minutes(11));
  Ask("status b");
  EXPECT_EQ(queue.ErrorOf("status a"), "");
}

}  // namespace
}  // namespace daemonsetd::cluster
