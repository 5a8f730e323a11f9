// Calls that block and cannot be taken back (a name look-up, a file on a dead mount), made so that who waits for one
// can give up. Few at a time: those that hang must not use up the pool.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "agent/async/blocking_pool.h"
#include "agent/async/semaphore.h"
#include "agent/async/task_scope.h"
#include "agent/async/wake.h"

namespace daemonsetd::async {

class BlockingCalls {
 public:
  // At most `at_once` calls at the same time; the others wait for them until they give up themselves.
  BlockingCalls(Executor executor, BlockingPool& pool, int at_once = 1)
      : executor_(executor), pool_(pool), places_(executor, at_once), scope_(std::move(executor)) {}

  // The answer of `function`, which runs on the pool and must not throw. Throws operation_aborted when the calling
  // coroutine is cancelled; the function then goes on and its answer is lost.
  template <class T>
  Task<T> Run(std::function<T()> function) {
    Semaphore::Permit permit = co_await places_.Acquire();
    // Two objects: the pool may be the last to let go of the answer, and a wake-up belongs to the loop.
    auto answer = std::make_shared<std::optional<T>>();
    auto ended = std::make_shared<Wake>(executor_);
    std::function<Status()> call = [answer, function = std::move(function)]() -> Status {
      answer->emplace(function());
      return Ok();
    };
    scope_.Spawn("blocking call", Carry(&pool_, std::move(call), ended, std::move(permit)));
    co_await ended->Wait();
    co_return std::move(**answer);
  }

  // Waits for the calls under way. Required before destruction.
  Task<void> Close() { return scope_.Join(); }

 private:
  static Task<void> Carry(BlockingPool* pool, std::function<Status()> call, std::shared_ptr<Wake> ended,
                          Semaphore::Permit /*held until the end*/) {
    co_await pool->Run(std::move(call));
    ended->Notify();
  }

  Executor executor_;
  BlockingPool& pool_;
  Semaphore places_;
  TaskScope scope_;
};

}  // namespace daemonsetd::async
