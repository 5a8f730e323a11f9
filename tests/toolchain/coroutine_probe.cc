// Counts constructions and destructions of temporaries in full expressions that contain co_await.
// A compiler that destroys one twice corrupts memory far from the cause, so the build refuses it.
#include <coroutine>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

int live = 0;

struct Counted {
  Counted() { ++live; }
  Counted(const Counted&) { ++live; }
  Counted(Counted&&) noexcept { ++live; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) noexcept = default;
  ~Counted() { --live; }
};

struct Aggregate {
  int number;
  Counted counted;
};

struct Task {
  struct promise_type {
    std::coroutine_handle<> waiter;
    Task get_return_object() { return Task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Final {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> handle) noexcept {
          return handle.promise().waiter ? handle.promise().waiter : std::noop_coroutine();
        }
        void await_resume() noexcept {}
      };
      return Final{};
    }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  explicit Task(std::coroutine_handle<promise_type> h) : handle(h) {}
  Task(Task&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  ~Task() {
    if (handle) handle.destroy();
  }
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) {
    handle.promise().waiter = waiter;
    return handle;
  }
  void await_resume() {}
  std::coroutine_handle<promise_type> handle;
};

template <class F>
Task Call(F function) {
  function();
  co_return;
}
Task TakeFunction(std::function<void()> function) {
  function();
  co_return;
}
Task TakeAggregate(Aggregate) { co_return; }
Task TakeVector(std::vector<Counted>) { co_return; }

Task CapturingLambda() {
  Counted counted;
  co_await Call([counted] { (void)counted; });
}
Task CapturingLambdaAsFunction() {
  Counted counted;
  co_await TakeFunction([counted] { (void)counted; });
}
Task AggregateTemporary() { co_await TakeAggregate(Aggregate{1, Counted()}); }
Task NestedAggregate() {
  co_await Call([a = Aggregate{2, Counted()}] { (void)a; });
}
Task VectorOfTemporaries() { co_await TakeVector(std::vector<Counted>{Counted(), Counted()}); }

bool Balanced(const char* name, Task (*make)()) {
  live = 0;
  {
    Task task = make();
    task.handle.resume();
  }
  if (live == 0) return true;
  std::printf("%s: constructions minus destructions = %d\n", name, live);
  return false;
}

}  // namespace

int main() {
  bool good = Balanced("capturing lambda", CapturingLambda);
  good &= Balanced("capturing lambda as std::function", CapturingLambdaAsFunction);
  good &= Balanced("aggregate temporary", AggregateTemporary);
  good &= Balanced("aggregate in a capture", NestedAggregate);
  good &= Balanced("vector of temporaries", VectorOfTemporaries);
  return good ? 0 : 1;
}
