// The clock and its timers as one port, so that tests can move time by hand.
#pragma once

#include <functional>
#include <memory>

#include "agent/async/task.h"
#include "agent/base/time_point.h"

namespace daemonsetd::async {

class Timeline {
 public:
  // An armed timer. Destroying it disarms it: its function is not called afterwards.
  class Alarm {
   public:
    virtual ~Alarm() = default;
  };

  virtual ~Timeline() = default;

  virtual Now Read() const = 0;

  // Calls `ring` once on `executor` at `when` (monotonic), or as soon as the loop gets to it when that is past; never
  // from within SetAlarm. `ring` may destroy the alarm.
  virtual std::unique_ptr<Alarm> SetAlarm(Executor executor, MonoTime when, std::function<void()> ring) = 0;

  // Completes at `when` (monotonic), at once when it is past.
  // Throws boost::system::system_error(operation_aborted) when the calling coroutine is cancelled.
  Task<void> SleepUntil(MonoTime when);
  Task<void> SleepFor(Nanoseconds duration) { return SleepUntil(mono() + duration); }

  MonoTime mono() const { return Read().mono; }
};

}  // namespace daemonsetd::async
