// RFC 3339 and Go duration texts into time values; the inverse of agent/base/time_point.h.
#pragma once

#include <optional>
#include <string_view>

#include "agent/base/time_point.h"

namespace daemonsetd::local {

// "2026-11-25T00:18:32.123456789+01:00", up to nine digits of fraction. Nothing for any other text.
std::optional<WallTime> ParseRfc3339(std::string_view text);

// "90s", "1h30m", "250ms", as Go's time.ParseDuration reads them, without sign and fraction. Nothing for other texts
// and for more than 100 years.
std::optional<Nanoseconds> ParseDuration(std::string_view text);

}  // namespace daemonsetd::local
