#include "agent/async/semaphore.h"

#include <algorithm>
#include <list>

#include "agent/async/wake.h"

namespace daemonsetd::async {
namespace {

struct Waiter {
  Waiter(const Executor& executor, int waiter_priority) : priority(waiter_priority), wake(executor) {}
  int priority;
  bool granted = false;
  Wake wake;
};

}  // namespace

struct Semaphore::State {
  Executor executor;
  int free;
  std::list<Waiter*> queue;  // in the order of service; each waiter lives in the frame of its Acquire

  void Release() {
    if (queue.empty()) {
      ++free;
      return;
    }
    Waiter* next = queue.front();
    queue.pop_front();
    next->granted = true;
    next->wake.Notify();
  }
};

namespace {

// Leaves the queue on every way out of Acquire, and hands on a place that was granted to a waiter that gave up.
template <class State>
class Turn {
 public:
  Turn(State& state, Waiter& waiter) : state_(state), waiter_(waiter) {
    auto place = std::find_if(state_.queue.begin(), state_.queue.end(),
                              [&](const Waiter* other) { return other->priority < waiter_.priority; });
    state_.queue.insert(place, &waiter_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (taken_) return;
    if (waiter_.granted) {
      state_.Release();
    } else {
      state_.queue.remove(&waiter_);
    }
  }
  void Take() { taken_ = true; }

 private:
  State& state_;
  Waiter& waiter_;
  bool taken_ = false;
};

}  // namespace

Semaphore::Permit& Semaphore::Permit::operator=(Permit&& other) noexcept {
  if (this != &other) {
    if (state_) state_->Release();
    state_ = std::move(other.state_);
  }
  return *this;
}

Semaphore::Permit::~Permit() {
  if (state_) state_->Release();
}

Semaphore::Semaphore(Executor executor, int places)
    : state_(std::make_shared<State>(State{.executor = std::move(executor), .free = places, .queue = {}})) {}

Semaphore::~Semaphore() = default;

Task<Semaphore::Permit> Semaphore::Acquire(int priority) {
  std::shared_ptr<State> state = state_;
  if (state->free > 0) {
    --state->free;
    co_return Permit(std::move(state));
  }
  Waiter waiter(state->executor, priority);
  Turn<State> turn(*state, waiter);
  co_await waiter.wake.Wait();
  turn.Take();
  co_return Permit(std::move(state));
}

int Semaphore::free() const { return state_->free; }
int Semaphore::waiting() const { return static_cast<int>(state_->queue.size()); }

}  // namespace daemonsetd::async
