// Threads for calls that block and have no asynchronous form: fsync, mount, recursive removal, DNS.
#pragma once

#include <functional>
#include <optional>

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

 private:
  std::optional<boost::asio::thread_pool> pool_;
};

}  // namespace daemonsetd::async
