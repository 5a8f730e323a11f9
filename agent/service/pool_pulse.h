// Shows that the blocking pool takes up and ends what it is given, by giving it nothing to do from time to time.
#pragma once

#include <optional>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"

namespace daemonsetd::service {

class PoolPulse {
 public:
  PoolPulse(async::Timeline& timeline, async::BlockingPool& pool, Nanoseconds period)
      : timeline_(timeline), pool_(pool), period_(period) {}

  // Until cancelled, and until the pool has answered.
  Task<void> Run();

  // Since when the pool owes an answer.
  std::optional<MonoTime> asked() const { return asked_; }

 private:
  async::Timeline& timeline_;
  async::BlockingPool& pool_;
  const Nanoseconds period_;
  std::optional<MonoTime> asked_;
};

}  // namespace daemonsetd::service
