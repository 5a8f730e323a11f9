// A one-slot signal: many Notify() between two waits count as one. Level, not edge: the waiter looks at the state again.
// One waiter at a time. Everything on the loop thread.
#pragma once

#include <optional>

#include "agent/async/timeline.h"

#include <boost/asio/steady_timer.hpp>

namespace daemonsetd::async {

class Wake {
 public:
  explicit Wake(Executor executor);

  void Notify();

  // True when notified, false when `deadline` came first. No deadline: waits for ever.
  // Throws operation_aborted when the calling coroutine is cancelled.
  Task<bool> WaitUntil(Timeline& timeline, std::optional<MonoTime> deadline);

 private:
  boost::asio::steady_timer gate_;
  bool pending_ = false;
};

}  // namespace daemonsetd::async
