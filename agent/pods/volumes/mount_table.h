// What is mounted, from /proc/self/mountinfo. Blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace daemonsetd::pods {

struct MountEntry {
  std::string path;         // the mount point, as this process sees it
  std::string file_system;  // "tmpfs"
};

// The mounts at `directory` and beneath it, in the order of mounting. `directory` goes through no symbolic link
// (RealPath): the kernel's table has none either.
Result<std::vector<MountEntry>> MountsBeneath(const std::string& directory);

// The lines of a mountinfo file whose mount point is `directory` or beneath it. Pure.
std::vector<MountEntry> ParseMountInfo(std::string_view text, std::string_view directory);

// The path without symbolic links. kAbsent when it does not exist.
Result<std::string> RealPath(const std::string& path);

}  // namespace daemonsetd::pods
