#include "agent/async/task_scope.h"

#include <cstdlib>
#include <exception>
#include <list>
#include <utility>
#include <vector>

#include "agent/base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::async {
namespace {

namespace asio = boost::asio;

struct Running {
  explicit Running(std::string task_name) : name(std::move(task_name)) {}
  std::string name;
  asio::cancellation_signal cancel;
};

Task<void> RunLater(Task<void> task) {
  co_await asio::post(asio::use_awaitable);
  co_await std::move(task);
}

void AbortUnlessCancelled(const std::string& name, const std::exception_ptr& exception) {
  if (!exception) return;
  try {
    std::rethrow_exception(exception);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) return;
    log::Error("a task ended by an exception", {{"task", name}, {"err", error.what()}});
  } catch (const std::exception& error) {
    log::Error("a task ended by an exception", {{"task", name}, {"err", error.what()}});
  } catch (...) {
    log::Error("a task ended by an exception", {{"task", name}});
  }
  std::abort();
}

}  // namespace

struct TaskScope::State {
  explicit State(Executor loop) : executor(std::move(loop)), drained(executor, asio::steady_timer::time_point::max()) {}

  void End(const std::shared_ptr<Running>& running, const std::function<void()>& on_end) {
    tasks.remove(running);
    // The coroutine that just ended is still on the stack below us and its cancellation state lies in the signal.
    asio::post(executor, [running] {});
    if (on_end) on_end();
    if (tasks.empty()) drained.cancel();
  }

  Executor executor;
  std::list<std::shared_ptr<Running>> tasks;
  asio::steady_timer drained;  // never expires: cancelled when the last task ends
};

TaskScope::TaskScope(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

TaskScope::~TaskScope() {
  if (empty()) return;
  for (const auto& running : state_->tasks) {
    log::Error("a task scope was destroyed before its task ended", {{"task", running->name}});
  }
  std::abort();
}

void TaskScope::Spawn(std::string name, Task<void> task, std::function<void()> on_end) {
  auto running = std::make_shared<Running>(std::move(name));
  state_->tasks.push_back(running);
  asio::co_spawn(state_->executor, RunLater(std::move(task)),
                 asio::bind_cancellation_slot(
                     running->cancel.slot(),
                     [state = state_, running, on_end = std::move(on_end)](const std::exception_ptr& exception) {
                       AbortUnlessCancelled(running->name, exception);
                       state->End(running, on_end);
                     }));
}

void TaskScope::Cancel() {
  // Emitted from the loop and never from inside a task: Asio hands the signal to the coroutine by a bare pointer that
  // must be used at once, and a coroutine must not be resumed in the middle of whoever cancels it.
  std::vector<std::weak_ptr<Running>> targets(state_->tasks.begin(), state_->tasks.end());
  asio::post(state_->executor, [targets = std::move(targets)] {
    for (const auto& target : targets) {
      if (auto running = target.lock()) running->cancel.emit(asio::cancellation_type::terminal);
    }
  });
}

Task<void> TaskScope::Join() {
  std::shared_ptr<State> state = state_;
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!state->tasks.empty()) {
    // An empty slot: the caller's cancellation does not reach the timer.
    co_await state->drained.async_wait(
        asio::bind_cancellation_slot(asio::cancellation_slot(), asio::as_tuple(asio::use_awaitable)));
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
}

Task<void> TaskScope::HoldUntilCancelled() {
  asio::steady_timer never(state_->executor, asio::steady_timer::time_point::max());
  try {
    co_await never.async_wait(asio::use_awaitable);
  } catch (const boost::system::system_error& error) {
    if (error.code() != asio::error::operation_aborted) throw;
  }
  co_await kDeafToCancellation;
  Cancel();
  co_await Join();
}

std::size_t TaskScope::size() const { return state_->tasks.size(); }

}  // namespace daemonsetd::async
