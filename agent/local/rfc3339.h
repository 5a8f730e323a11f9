// RFC 3339 texts into time values; the inverse of agent/base/time_point.h.
#pragma once

#include <optional>
#include <string_view>

#include "agent/base/time_point.h"

namespace daemonsetd::local {

// "2026-11-25T00:18:32.123456789+01:00", up to nine digits of fraction. Nothing for any other text.
std::optional<WallTime> ParseRfc3339(std::string_view text);

}  // namespace daemonsetd::local
