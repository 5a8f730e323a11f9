#include "tests/support/loop.h"

#include <stdexcept>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

namespace daemonsetd::testing {

namespace asio = boost::asio;

TestLoop::TestLoop(Nanoseconds limit) : limit_(limit) {
  timeline_.set_settle([this] { Settle(); });
}

void TestLoop::CheckLimit() const {
  if (std::chrono::steady_clock::now() - started_ > limit_) {
    throw std::runtime_error("the test still waits after " + FormatDuration(limit_) +
                             ": a coroutine never ended, or the loop never came to rest");
  }
}

void TestLoop::Settle() {
  context_.restart();
  while (context_.poll_one() > 0) CheckLimit();
}

void TestLoop::RunUntil(const bool& flag, Clock clock) {
  while (!flag) {
    CheckLimit();
    context_.restart();
    if (context_.poll_one() > 0) continue;
    if (clock == Clock::kJumps && timeline_.AdvanceToNextAlarm()) continue;
    if (context_.stopped()) throw std::runtime_error("nothing is left that could end what the test waits for");
    context_.run_one_for(std::chrono::milliseconds(50));
  }
}

void TestLoop::Spawn(Task<void> task, asio::cancellation_slot slot) {
  asio::co_spawn(context_, std::move(task), asio::bind_cancellation_slot(slot, asio::detached));
}

void TestLoop::EmitOnLoop(asio::cancellation_signal& signal) {
  asio::post(context_, [&signal] { signal.emit(asio::cancellation_type::terminal); });
  Settle();
}

}  // namespace daemonsetd::testing
