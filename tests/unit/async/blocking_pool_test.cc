#include "agent/async/blocking_pool.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/loop.h"

namespace daemonsetd::async {
namespace {

using testing::TestLoop;

struct Threads {
  std::thread::id function;
  std::thread::id resumed;
};

Task<Status> RunAndNote(BlockingPool& pool, Threads* threads) {
  Status status = co_await pool.Run([threads] {
    threads->function = std::this_thread::get_id();
    return Status(Error(ErrorKind::kDenied, "read-only"));
  });
  threads->resumed = std::this_thread::get_id();
  co_return status;
}

TEST(BlockingPool, RunsElsewhereAndComesBackToTheLoop) {
  TestLoop loop;
  BlockingPool pool(2);
  Threads threads;
  const Status status = loop.Run(RunAndNote(pool, &threads), TestLoop::Clock::kStands);
  EXPECT_EQ(status.error().kind(), ErrorKind::kDenied);
  EXPECT_NE(threads.function, std::this_thread::get_id());
  EXPECT_EQ(threads.resumed, std::this_thread::get_id());
}

TEST(BlockingPool, ComputesAnAnswerOrTellsWhyNot) {
  TestLoop loop;
  BlockingPool pool(1);
  std::function<Result<int>()> answer = [] { return 42; };
  std::function<Result<int>()> refuse = [] { return Error(ErrorKind::kAbsent, "no such file"); };
  EXPECT_EQ(loop.Run(pool.Compute(answer), TestLoop::Clock::kStands).value(), 42);
  EXPECT_EQ(loop.Run(pool.Compute(refuse), TestLoop::Clock::kStands).error().kind(), ErrorKind::kAbsent);
}

TEST(BlockingPool, WithoutThreadsRunsOnTheLoop) {
  TestLoop loop;
  BlockingPool pool(0);
  Threads threads;
  EXPECT_TRUE(loop.Start(RunAndNote(pool, &threads))->done());
  EXPECT_EQ(threads.function, std::this_thread::get_id());
}

TEST(BlockingPool, CancellationOfTheCallerWaitsForTheFunction) {
  TestLoop loop;
  BlockingPool pool(1);
  std::atomic<bool> release = false;
  std::atomic<bool> finished = false;
  auto call = loop.Start(pool.Run([&] {
    while (!release) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    finished = true;
    return Ok();
  }));
  loop.Cancel(call);
  EXPECT_FALSE(call->done());
  release = true;
  loop.RunUntil(call->ended);
  EXPECT_TRUE(finished);
  EXPECT_TRUE(call->value.has_value());
}

TEST(BlockingPool, ManyCallsAtOnceAllAnswer) {
  TestLoop loop;
  BlockingPool pool(3);
  std::vector<std::shared_ptr<testing::Started<Status>>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(loop.Start(pool.Run([] { return Ok(); })));
  for (auto& call : calls) loop.RunUntil(call->ended);
}

}  // namespace
}  // namespace daemonsetd::async
