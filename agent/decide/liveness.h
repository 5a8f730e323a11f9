// Whether the agent still gets on with its work. The one rule behind /livez and behind the service manager's watchdog,
// which ends an agent that hangs. What others do not do, a runtime or an API server that is down, is never a reason: a
// new process would find them just so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/time_point.h"

namespace daemonsetd::decide {

// One named check of /livez or /readyz, in the order shown.
struct HealthCheck {
  std::string name;  // "runtime", "manifests"
  bool passed = false;
  std::string detail;  // why it fails and what to do; empty when passed
};

// What moves on while all is well, in whatever state others are. Unset: nothing is expected of it now.
struct LifeSigns {
  std::optional<MonoTime> pool_asked;      // an empty function was given to the blocking pool, and has not come back
  std::optional<MonoTime> runtime_due;     // a list of the runtime must have ended, by its deadlines, or begun
  std::optional<MonoTime> checkpoint_due;  // a writing of the checkpoint must have begun
  std::optional<MonoTime> checkpoint_writing;  // one is under way, since then
};

// That the loop turns is shown by who asks.
std::vector<HealthCheck> CheckLiveness(const LifeSigns& signs, MonoTime now);

}  // namespace daemonsetd::decide
