// Owns running coroutines: nothing that a scope started outlives it. Cancel, then wait for what you cancelled.
// Everything on the loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/async/task.h"

namespace daemonsetd::async {

class TaskScope {
 public:
  explicit TaskScope(Executor executor);
  // The scope must be empty: Join() first. A scope destroyed with running tasks is a broken invariant and aborts.
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  // Starts `task` on a later turn of the loop; a task that is cancelled before that never runs.
  // `name` appears in logs when the task ends by an exception other than cancellation, which aborts the process.
  // `on_end`, if any, is called on the loop after the task ended and left the scope, cancelled or not.
  void Spawn(std::string name, Task<void> task, std::function<void()> on_end = nullptr);

  // Asks every running task to stop; they learn of it on a later turn of the loop. Tasks spawned later are not
  // affected.
  void Cancel();

  // Completes when no task runs. Not interrupted by cancellation of the caller: what was started is waited for.
  // A caller that is cancelled already awaits kDeafToCancellation (task.h) first, as for any clean-up.
  Task<void> Join();

  // Waits until the caller is cancelled, then cancels the tasks and completes when none runs. The caller is deaf to
  // cancellation from there on (task.h), and goes on with what else it has to close.
  Task<void> HoldUntilCancelled();

  bool empty() const { return size() == 0; }
  std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace daemonsetd::async
