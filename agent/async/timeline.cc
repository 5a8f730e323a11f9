#include "agent/async/timeline.h"

#include "agent/async/wake.h"

#include <boost/asio/this_coro.hpp>

namespace daemonsetd::async {

Task<void> Timeline::SleepUntil(MonoTime when) {
  Wake nobody(co_await boost::asio::this_coro::executor);
  co_await nobody.WaitUntil(*this, when);
}

}  // namespace daemonsetd::async
