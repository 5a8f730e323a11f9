// What a service manager says to its service in the environment, as sd_notify(3) and sd_watchdog_enabled(3) define it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::service {

struct Environment {
  std::string notify_socket;            // a path, or "@name"; empty: nobody wants to know
  std::optional<Nanoseconds> watchdog;  // the service is ended when it is silent for so long
};

// kInvalid, with what to change: what the variables say cannot be done. `get` is getenv(3), `own` this process.
Result<Environment> ReadEnvironment(const std::function<const char*(const char*)>& get, pid_t own);

}  // namespace daemonsetd::service
