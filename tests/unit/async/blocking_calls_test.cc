#include "agent/async/blocking_calls.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>

#include "tests/support/loop.h"

namespace daemonsetd::async {
namespace {

TEST(BlockingCallsTest, ACallThatHangsCanBeLeftBehind) {
  testing::TestLoop loop;
  BlockingPool pool(1);
  BlockingCalls calls(loop.executor(), pool);
  std::promise<void> gate;
  std::function<int()> hang = [opened = gate.get_future().share()] {
    opened.wait();
    return 1;
  };
  const auto waiting = loop.Start(calls.Run(hang));
  loop.Cancel(waiting);
  EXPECT_TRUE(waiting->threw());
  const auto next = loop.Start(calls.Run(std::function<int()>([] { return 2; })));
  EXPECT_FALSE(next->done()) << "the one before still holds the only place";
  gate.set_value();
  loop.RunUntil(next->ended);
  EXPECT_EQ(*next->value, 2);
  loop.Run(calls.Close(), testing::TestLoop::Clock::kStands);
}

}  // namespace
}  // namespace daemonsetd::async
