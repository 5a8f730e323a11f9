// How much of its file system a directory takes, as `du -x` counts: what pods write may be anything.
#pragma once

#include <cstddef>
#include <string>

#include "agent/base/result.h"
#include "agent/decide/eviction.h"

namespace daemonsetd::pods {

// A tree of more entries is taken for what was counted of it by then.
inline constexpr std::size_t kMostTreeEntries = 500'000;

// Nothing where there is no such directory. Follows no link and enters no other file system. Blocks.
Result<decide::DiskUse> MeasureTree(const std::string& path, std::size_t most_entries = kMostTreeEntries);

}  // namespace daemonsetd::pods
