// Threads for calls that block and have no asynchronous form: fsync, mount, recursive removal, DNS.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "agent/async/task.h"
#include "agent/base/result.h"

#include <boost/asio/thread_pool.hpp>

namespace daemonsetd::async {

class BlockingPool {
 public:
  // Zero threads: functions run on the loop itself, so that a test with a hand-moved clock is deterministic.
  explicit BlockingPool(int threads);
  // Waits for the functions under way.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Runs `function` on a pool thread and resumes the caller on its own executor with the answer.
  // Cancellation of the caller does not interrupt `function`: the call completes when it does. `function` must not
  // throw.
  Task<Status> Run(std::function<Status()> function);

  // The same for a function with an answer.
  template <class T>
  Task<Result<T>> Compute(std::function<Result<T>()> function);

 private:
  std::optional<boost::asio::thread_pool> pool_;
};

template <class T>
Task<Result<T>> BlockingPool::Compute(std::function<Result<T>()> function) {
  // Shared with the pool thread: the caller's frame may be gone before the function ends.
  const auto answer = std::make_shared<std::optional<Result<T>>>();
  std::function<Status()> work = [answer, function = std::move(function)] {
    answer->emplace(function());
    return Ok();
  };
  const Status done = co_await Run(std::move(work));
  if (!done) co_return done.error();
  co_return std::move(**answer);
}

}  // namespace daemonsetd::async
