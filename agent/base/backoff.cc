#include "agent/base/backoff.h"

#include <algorithm>

namespace daemonsetd {

Nanoseconds Jittered(Nanoseconds about, double random) {
  return std::chrono::duration_cast<Nanoseconds>(about * (0.5 + random));
}

MonoTime Backoff::Fail(MonoTime now) {
  const bool quiet_for_long =
      limits_.reset_after > Nanoseconds::zero() && last_failure_ && now - *last_failure_ > limits_.reset_after + delay_;
  if (quiet_for_long) Reset();
  delay_ = delay_ == Nanoseconds::zero() ? limits_.initial : std::min(delay_ * 2, limits_.maximum);
  last_failure_ = now;
  due_ = now + delay_;
  ++failures_;
  return *due_;
}

void Backoff::Reset() {
  delay_ = Nanoseconds::zero();
  due_.reset();
  last_failure_.reset();
  failures_ = 0;
}

}  // namespace daemonsetd
