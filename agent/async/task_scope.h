// Owns running coroutines: nothing that a scope started outlives it. Cancel, then wait for what you cancelled.
#pragma once

#include <functional>
#include <list>
#include <string>

#include "agent/async/task.h"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

namespace daemonsetd::async {

class TaskScope {
 public:
  explicit TaskScope(Executor executor);
  // The scope must be empty: Join() first. A scope destroyed with running tasks is a broken invariant and aborts.
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  // `name` appears in logs when the task ends by an exception other than cancellation, which aborts the process.
  // `on_end`, if any, is called on the loop after the task ended, cancelled or not.
  void Spawn(std::string name, Task<void> task, std::function<void()> on_end = nullptr);

  // Asks every running task to stop. Tasks spawned later are not affected.
  void Cancel();

  // Completes when no task runs. Not interrupted by cancellation of the caller: what was started is waited for.
  Task<void> Join();

  bool empty() const { return running_.empty(); }
  std::size_t size() const { return running_.size(); }

 private:
  struct Running {
    std::string name;
    boost::asio::cancellation_signal cancel;
  };

  Executor executor_;
  std::list<Running> running_;
  boost::asio::steady_timer drained_;
};

}  // namespace daemonsetd::async
