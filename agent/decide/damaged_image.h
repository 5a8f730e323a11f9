// Whether a container does not start because a loss of power damaged the layers of its image (GC-07). The runtime marks
// layers as complete before their files are on the disk (containerd's issue 10457), and can't tell damage itself.
#pragma once

#include <optional>
#include <string_view>

#include "agent/base/time_point.h"

namespace daemonsetd::decide {

// How long after a boot a failed start is one of the first of its image.
inline constexpr Nanoseconds kSoonAfterBoot = std::chrono::minutes(20);

// Whether this answer of CreateContainer or StartContainer is one that damaged layers give: programs that are empty or
// gone, layers without content. A container with a wrong command gives the same ones.
bool TellsOfDamagedLayers(std::string_view error);

struct ImageSightings {
  std::optional<WallTime> first_seen;   // unset: not known
  std::optional<WallTime> repaired_at;  // fetched anew for damage; unset: never
};

// Whether to blame a loss of power: shortly after the machine came up, an image that was there before, and that was not
// fetched anew since.
bool MayBeDamagedByPowerLoss(const ImageSightings& image, Nanoseconds uptime, WallTime now);

}  // namespace daemonsetd::decide
