// Runs one task until it ends or its time is up; what runs out of time is cancelled and waited for.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "agent/async/task_scope.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::async {

// A task that is being waited for in steps. End() must be awaited before it is destroyed.
template <class T>
class Running {
 public:
  Running(Executor executor, Task<T> task) : scope_(executor), wake_(executor) {
    scope_.Spawn("call with a deadline", Keep(std::move(task), &answer_), [this] {
      ended_ = true;
      wake_.Notify();
    });
  }

  // True when the task ended before `deadline`. A cancelled caller gets false and is deaf to cancellation from here on,
  // so that it can wait for the end; End() then throws.
  Task<bool> WaitUntil(Timeline* timeline, MonoTime deadline) {
    try {
      while (!ended_) {
        if (!co_await wake_.WaitUntil(*timeline, deadline)) break;
      }
    } catch (const boost::system::system_error& error) {
      if (error.code() != boost::asio::error::operation_aborted) throw;
      cancelled_ = true;
    }
    if (cancelled_) co_await kDeafToCancellation;
    co_return ended_;
  }

  // Cancels the task if it still runs, and waits for it. Throws operation_aborted when the caller was cancelled during
  // WaitUntil.
  Task<void> End() {
    if (!ended_) scope_.Cancel();
    co_await scope_.Join();
    if (cancelled_) throw boost::system::system_error(boost::asio::error::operation_aborted);
  }

  bool cancelled() const { return cancelled_; }
  // After the end. Nullopt when the task ended by cancellation.
  std::optional<T>& answer() { return answer_; }

 private:
  static Task<void> Keep(Task<T> task, std::optional<T>* answer) { answer->emplace(co_await std::move(task)); }

  std::optional<T> answer_;
  bool ended_ = false;
  bool cancelled_ = false;
  TaskScope scope_;
  Wake wake_;
};

// Nullopt: `deadline` came first.
template <class T>
Task<std::optional<T>> WithinDeadline(Timeline* timeline, MonoTime deadline, Task<T> task) {
  Running<T> running(co_await boost::asio::this_coro::executor, std::move(task));
  const bool in_time = co_await running.WaitUntil(timeline, deadline);
  co_await running.End();
  if (!in_time) co_return std::nullopt;
  co_return std::move(running.answer());
}

}  // namespace daemonsetd::async
