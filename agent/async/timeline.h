// The clock and its timers as one port, so that tests can move time by hand.
#pragma once

#include "agent/async/task.h"
#include "agent/base/time_point.h"

namespace daemonsetd::async {

class Timeline {
 public:
  virtual ~Timeline() = default;

  virtual Now Read() const = 0;

  // Completes at `when` (monotonic), at once when it is past.
  // Throws boost::system::system_error(operation_aborted) when the calling coroutine is cancelled.
  virtual Task<void> SleepUntil(MonoTime when) = 0;

  MonoTime mono() const { return Read().mono; }
};

}  // namespace daemonsetd::async
