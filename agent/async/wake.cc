#include "agent/async/wake.h"

#include <cstdlib>
#include <utility>

#include "agent/base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::async {

namespace this_coro = boost::asio::this_coro;

namespace {

class OnlyWaiter {
 public:
  explicit OnlyWaiter(bool& waiting) : waiting_(waiting) {
    if (std::exchange(waiting_, true)) {
      log::Error("two coroutines wait for one wake-up");
      std::abort();
    }
  }
  OnlyWaiter(const OnlyWaiter&) = delete;
  OnlyWaiter& operator=(const OnlyWaiter&) = delete;
  ~OnlyWaiter() { waiting_ = false; }

 private:
  bool& waiting_;
};

}  // namespace

// The gate never expires by itself: a wait ends because somebody cancels the timer.
Wake::Wake(const Executor& executor) : gate_(executor, boost::asio::steady_timer::time_point::max()) {}

void Wake::Notify() {
  pending_ = true;
  gate_.cancel();
}

Task<void> Wake::Wait() {
  co_await WaitFor(nullptr);
  pending_ = false;
}

Task<bool> Wake::WaitOn(Timeline* timeline, std::optional<MonoTime> deadline) {
  bool expired = false;
  std::unique_ptr<Timeline::Alarm> alarm;
  if (!pending_ && deadline) {
    if (*deadline <= timeline->mono()) co_return false;
    alarm = timeline->SetAlarm(gate_.get_executor(), *deadline, [this, &expired] {
      expired = true;
      gate_.cancel();
    });
  }
  co_await WaitFor(&expired);
  co_return std::exchange(pending_, false);
}

Task<void> Wake::WaitFor(const bool* expired) {
  const OnlyWaiter only(waiting_);
  while (!pending_ && !(expired && *expired)) {
    co_await gate_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    // Notified and cancelled at once counts as cancelled: the notification stays for the next wait.
    const auto state = co_await this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none) {
      throw boost::system::system_error(boost::asio::error::operation_aborted);
    }
  }
}

}  // namespace daemonsetd::async
