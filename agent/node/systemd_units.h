// Transient slices of systemd's manager (org.freedesktop.systemd1), over the system bus. Every call blocks, on a
// connection of its own and within `deadline`; any thread may call.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::node {

// By their names on the bus; of those that are numbers.
using UnitProperties = std::vector<std::pair<std::string, std::uint64_t>>;

// Ends when the slice is there. kExists: there is such a unit.
Status StartTransientSlice(const std::string& slice, const UnitProperties& properties, Nanoseconds deadline);
// Until the unit stops. kAbsent: there is no such unit.
Status SetUnitProperties(const std::string& unit, const UnitProperties& properties, Nanoseconds deadline);
// Ends when it has stopped, and forgets a failure of it. Fine when there is no such unit.
Status StopUnit(const std::string& unit, Nanoseconds deadline);

}  // namespace daemonsetd::node
