#include "agent/service/pool_pulse.h"

#include <functional>
#include <utility>

namespace daemonsetd::service {

Task<void> PoolPulse::Run() {
  for (;;) {
    asked_ = timeline_.mono();
    std::function<Status()> nothing = [] { return Ok(); };
    (void)co_await pool_.Run(std::move(nothing));
    asked_.reset();
    co_await timeline_.SleepFor(period_);
  }
}

}  // namespace daemonsetd::service
