// Threads for calls that block and have no asynchronous form: fsync, mount, recursive removal, DNS.
#pragma once

#include <functional>

#include "agent/async/task.h"
#include "agent/base/result.h"

#include <boost/asio/thread_pool.hpp>

namespace daemonsetd::async {

class BlockingPool {
 public:
  explicit BlockingPool(int threads);
  // Waits for the functions under way.
  ~BlockingPool();

  // Runs `function` on a pool thread and resumes the caller on its own executor with the answer.
  // Cancellation of the caller does not interrupt `function`: the call completes when it does.
  Task<Status> Run(std::function<Status()> function);

 private:
  boost::asio::thread_pool pool_;
};

}  // namespace daemonsetd::async
