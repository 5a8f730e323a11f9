// File systems in memory, mounted beneath a pod's directory.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace daemonsetd::pods {

// Mounts `file_system` ("tmpfs", "hugetlbfs") at the directory `path`, nosuid and nodev, unless it is mounted there
// already. `options` are the file system's own; empty: none. kInvalid also when the kernel does not know one of them.
// Blocks.
Status MountOnce(const std::string& path, const char* file_system, const std::string& options);

}  // namespace daemonsetd::pods
