#include "agent/pods/volumes/memory_medium.h"

#include <sys/mount.h>

#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "agent/pods/files.h"
#include "agent/pods/volumes/mount_table.h"

namespace daemonsetd::pods {

Status MountOnce(const std::string& path, const char* file_system, const std::string& options) {
  const Result<std::string> real = RealPath(path);
  if (!real) return real.error();
  const Result<std::vector<MountEntry>> mounts = MountsBeneath(*real);
  if (!mounts) return mounts.error();
  for (const MountEntry& mount : *mounts) {
    if (mount.path == *real && mount.file_system == file_system) return Ok();
  }
  if (::mount(file_system, path.c_str(), file_system, MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return SystemError(fmt::format("mount {} ({}) at {}", file_system, options, path), errno);
  }
  return Ok();
}

}  // namespace daemonsetd::pods
