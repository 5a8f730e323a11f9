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

// Whether the mount that holds `directory` passes on what is mounted beneath it, by a mountinfo file. Pure.
bool IsOnSharedMount(std::string_view text, std::string_view directory);

// kInvalid, with what to do, when this process' mounts beneath `directory` are its own (VO-08): it has another mount
// namespace than the process that listens on `runtime_socket` (a path), and the mount there is not shared. Other
// errors: it cannot be found out. Blocks.
Status CheckMountsReachTheRuntime(const std::string& directory, const std::string& runtime_socket);

// The path without symbolic links. kAbsent when it does not exist.
Result<std::string> RealPath(const std::string& path);

}  // namespace daemonsetd::pods
