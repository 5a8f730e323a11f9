// A one-slot signal: many Notify() between two waits count as one. Level, not edge: the waiter looks at the state
// again. One waiter at a time. Everything on the loop thread.
#pragma once

#include <optional>

#include "agent/async/timeline.h"

#include <boost/asio/steady_timer.hpp>

namespace daemonsetd::async {

class Wake {
 public:
  explicit Wake(const Executor& executor);

  void Notify();

  // True when notified, false when `deadline` came first. No deadline: waits for ever.
  // Throws operation_aborted when the calling coroutine is cancelled; a notification is then kept for the next wait.
  Task<bool> WaitUntil(Timeline& timeline, std::optional<MonoTime> deadline) { return WaitOn(&timeline, deadline); }

  // As above without a deadline.
  Task<void> Wait();

 private:
  Task<bool> WaitOn(Timeline* timeline, std::optional<MonoTime> deadline);
  // Until notified or until `*expired`, if given.
  Task<void> WaitFor(const bool* expired);

  boost::asio::steady_timer gate_;
  bool pending_ = false;
  bool waiting_ = false;
};

}  // namespace daemonsetd::async
