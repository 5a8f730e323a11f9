// Runs one task until it ends or its time is up; what runs out of time is cancelled and waited for.
#pragma once

#include <optional>
#include <utility>

#include "agent/async/task_scope.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::kube {

template <class T>
Task<void> KeepAnswer(Task<T> task, std::optional<T>* answer) {
  answer->emplace(co_await std::move(task));
}

// Nullopt: `deadline` came first. Throws operation_aborted when the caller is cancelled, after the task's end.
template <class T>
Task<std::optional<T>> WithinDeadline(async::Timeline* timeline, MonoTime deadline, Task<T> task) {
  const async::Executor executor = co_await boost::asio::this_coro::executor;
  std::optional<T> answer;
  async::TaskScope scope(executor);
  async::Wake ended(executor);
  scope.Spawn("request to the API server", KeepAnswer(std::move(task), &answer), [&ended] { ended.Notify(); });
  bool cancelled = false;
  try {
    co_await ended.WaitUntil(*timeline, deadline);
  } catch (const boost::system::system_error& error) {
    if (error.code() != boost::asio::error::operation_aborted) throw;
    cancelled = true;
  }
  if (cancelled) co_await async::kDeafToCancellation;
  scope.Cancel();
  co_await scope.Join();
  if (cancelled) throw boost::system::system_error(boost::asio::error::operation_aborted);
  co_return std::move(answer);
}

}  // namespace daemonsetd::kube
