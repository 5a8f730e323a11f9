// Exponential back-off as a value: the caller owns the clock.
#pragma once

#include <optional>

#include "agent/base/time_point.h"

namespace daemonsetd {

struct BackoffLimits {
  Nanoseconds initial;
  Nanoseconds maximum;
  // A failure that comes this long after the last one starts again at `initial`. Zero: never resets by itself.
  Nanoseconds reset_after = Nanoseconds::zero();
};

// Half to one and a half times `about`, for many nodes fail and come back at the same moment. `random` in [0, 1).
Nanoseconds Jittered(Nanoseconds about, double random);

class Backoff {
 public:
  explicit Backoff(BackoffLimits limits) : limits_(limits) {}

  // Records a failure at `now`; the next attempt is due at the returned moment.
  MonoTime Fail(MonoTime now);
  void Reset();

  // Length of the present wait; zero before the first failure.
  Nanoseconds delay() const { return delay_; }
  // The moment before which nothing should be tried; unset when nothing failed.
  std::optional<MonoTime> due() const { return due_; }
  bool Waiting(MonoTime now) const { return due_ && now < *due_; }
  int failures() const { return failures_; }

 private:
  BackoffLimits limits_;
  Nanoseconds delay_ = Nanoseconds::zero();
  std::optional<MonoTime> due_;
  std::optional<MonoTime> last_failure_;
  int failures_ = 0;
};

}  // namespace daemonsetd
