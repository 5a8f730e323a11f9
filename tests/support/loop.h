// One event loop for one test: runs coroutines step by step, on a clock moved by hand, and never hangs.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "agent/async/task.h"
#include "tests/support/fake_timeline.h"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

namespace daemonsetd::testing {

// A coroutine that a test started, and its answer once it has ended.
template <class T>
struct Started {
  bool done() const { return ended; }
  // True when it ended by an exception, cancellation for example.
  bool threw() const { return error != nullptr; }

  boost::asio::cancellation_signal cancel;
  bool ended = false;
  std::exception_ptr error;
  std::optional<T> value;
};
template <>
struct Started<void> {
  bool done() const { return ended; }
  bool threw() const { return error != nullptr; }

  boost::asio::cancellation_signal cancel;
  bool ended = false;
  std::exception_ptr error;
};

class TestLoop {
 public:
  // A test that waits longer than `limit` of real time fails with an exception instead of hanging.
  explicit TestLoop(Nanoseconds limit = std::chrono::seconds(20));
  TestLoop(const TestLoop&) = delete;
  TestLoop& operator=(const TestLoop&) = delete;

  async::Executor executor() { return context_.get_executor(); }
  boost::asio::io_context& context() { return context_; }
  FakeTimeline& timeline() { return timeline_; }

  // Runs everything that is runnable now. Time does not move.
  void Settle();
  // Settles, then moves the fake clock, alarm by alarm, and settles after each.
  void Advance(Nanoseconds duration) {
    Settle();
    timeline_.Advance(duration);
  }

  enum class Clock {
    kJumps,   // whenever nothing is runnable, the fake clock moves to the next alarm
    kStands,  // the fake clock stands; real timers, threads and sockets are waited for
  };
  // Runs `task` to its end and returns its value or throws its exception.
  template <class T>
  T Run(Task<T> task, Clock clock = Clock::kJumps);

  // Starts `task` and settles.
  template <class T>
  std::shared_ptr<Started<T>> Start(Task<T> task);
  // Asks it to stop and settles.
  template <class T>
  void Cancel(const std::shared_ptr<Started<T>>& started) {
    EmitOnLoop(started->cancel);
  }
  // Waits in real time until `*flag`; for work on other threads.
  void RunUntil(const bool& flag, Clock clock = Clock::kStands);

 private:
  template <class T>
  static Task<void> Record(std::shared_ptr<Started<T>> started, Task<T> task);
  void Spawn(Task<void> task, boost::asio::cancellation_slot slot);
  void EmitOnLoop(boost::asio::cancellation_signal& signal);
  void CheckLimit() const;

  Nanoseconds limit_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  FakeTimeline timeline_;
  boost::asio::io_context context_{1};
};

template <class T>
Task<void> TestLoop::Record(std::shared_ptr<Started<T>> started, Task<T> task) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
    } else {
      started->value.emplace(co_await std::move(task));
    }
  } catch (...) {
    started->error = std::current_exception();
  }
  started->ended = true;
}

template <class T>
std::shared_ptr<Started<T>> TestLoop::Start(Task<T> task) {
  auto started = std::make_shared<Started<T>>();
  Spawn(Record(started, std::move(task)), started->cancel.slot());
  Settle();
  return started;
}

template <class T>
T TestLoop::Run(Task<T> task, Clock clock) {
  auto started = Start(std::move(task));
  RunUntil(started->ended, clock);
  if (started->error) std::rethrow_exception(started->error);
  if constexpr (!std::is_void_v<T>) return std::move(*started->value);
}

}  // namespace daemonsetd::testing
