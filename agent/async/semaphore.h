// Bounded concurrency with an order: so many at once, the others wait by priority, then first come first served.
// Everything on the loop thread.
#pragma once

#include <memory>
#include <utility>

#include "agent/async/task.h"

namespace daemonsetd::async {

class Semaphore {
 private:
  struct State;

 public:
  // One place. Given back when destroyed; may outlive the semaphore.
  class Permit {
   public:
    Permit(Permit&& other) noexcept = default;
    Permit& operator=(Permit&& other) noexcept;
    ~Permit();

   private:
    friend class Semaphore;
    explicit Permit(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  // `places` ≥ 1.
  Semaphore(Executor executor, int places);
  ~Semaphore();
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // A higher `priority` goes first. Throws operation_aborted when the calling coroutine is cancelled.
  Task<Permit> Acquire(int priority = 0);

  int free() const;
  int waiting() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace daemonsetd::async
