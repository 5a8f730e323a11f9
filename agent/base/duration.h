// The one place that reads a duration's text. Rules: Go's time.ParseDuration, as every Kubernetes key uses.
#pragma once

#include <string_view>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd {

// "20s", "1m30s", "1.5h", "250ms", "0". Units: ns, us (or µs), ms, s, m, h. kInvalid, with what to write instead, for
// anything else, for a missing unit and for what does not fit 64 bits of nanoseconds.
Result<Nanoseconds> ParseDuration(std::string_view text);

}  // namespace daemonsetd
