#include "agent/service/pool_pulse.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/loop.h"

namespace daemonsetd::service {
namespace {

using testing::TestLoop;

TEST(PoolPulse, OwesNothingWhileThePoolAnswersAndAsksAgain) {
  TestLoop loop;
  async::BlockingPool pool(0);
  PoolPulse pulse(loop.timeline(), pool, std::chrono::seconds(30));
  EXPECT_FALSE(pulse.asked());
  auto running = loop.Start(pulse.Run());
  EXPECT_FALSE(pulse.asked());
  EXPECT_EQ(loop.timeline().next_alarm(), loop.timeline().mono() + std::chrono::seconds(30));
  loop.Advance(std::chrono::seconds(31));
  EXPECT_FALSE(pulse.asked());
  loop.Cancel(running);
  EXPECT_TRUE(running->done());
}

TEST(PoolPulse, TellsSinceWhenAPoolThatHangsOwesTheAnswer) {
  TestLoop loop;
  async::BlockingPool pool(1);
  std::atomic<bool> release = false;
  auto hanging = loop.Start(pool.Run([&] {
    while (!release) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Ok();
  }));
  PoolPulse pulse(loop.timeline(), pool, std::chrono::seconds(30));
  const MonoTime asked = loop.timeline().mono();
  auto running = loop.Start(pulse.Run());
  loop.Advance(std::chrono::hours(1));
  EXPECT_EQ(pulse.asked(), asked);
  release = true;
  loop.RunUntil(hanging->ended);
  loop.Cancel(running);
  loop.RunUntil(running->ended);
}

}  // namespace
}  // namespace daemonsetd::service
