#include "agent/pods/volumes/empty_dir.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "agent/decide/resources.h"
#include "agent/model/quantity.h"
#include "agent/pods/files.h"
#include "agent/pods/volumes/mount_table.h"

namespace daemonsetd::pods {
namespace {

bool EveryContainerHasMemoryLimit(const corev1::PodSpec& spec) {
  if (spec.resources().limits().contains("memory")) return true;
  return std::all_of(spec.containers().begin(), spec.containers().end(), [](const corev1::Container& container) {
    return container.resources().limits().contains("memory");
  });
}

Status MountTmpfs(const std::string& path, std::int64_t size) {
  const Result<std::string> real = RealPath(path);
  if (!real) return real.error();
  const Result<std::vector<MountEntry>> mounts = MountsBeneath(*real);
  if (!mounts) return mounts.error();
  for (const MountEntry& mount : *mounts) {
    if (mount.path == *real && mount.file_system == "tmpfs") return Ok();
  }
  const std::string options = size > 0 ? fmt::format("size={}", size) : std::string();
  if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return SystemError("mount tmpfs at " + path, errno);
  }
  return Ok();
}

Status SetOwnership(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source, const std::string& path) {
  mode_t mode = source.has_mode() ? static_cast<mode_t>(source.mode()) & 07777 : 0777;
  if (spec.securitycontext().has_fsgroup()) {
    if (::chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(spec.securitycontext().fsgroup())) != 0) {
      return SystemError("chown " + path, errno);
    }
    mode |= S_ISGID | 0770;
  }
  if (::chmod(path.c_str(), mode) != 0) return SystemError("chmod " + path, errno);
  return Ok();
}

}  // namespace

std::int64_t TmpfsSize(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source) {
  std::int64_t size = source.has_sizelimit() ? model::Quantity::From(source.sizelimit()).Value() : 0;
  if (EveryContainerHasMemoryLimit(spec)) {
    const decide::ResourceList limits = decide::PodLimits(spec);
    if (const auto memory = limits.find("memory"); memory != limits.end() && memory->second.Sign() > 0) {
      const std::int64_t limit = memory->second.Value();
      size = size > 0 ? std::min(size, limit) : limit;
    }
  }
  return std::max<std::int64_t>(size, 0);
}

Status PrepareEmptyDir(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source,
                       const std::string& path) {
  if (source.medium().starts_with("HugePages")) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("emptyDir medium {} is not supported yet; use Memory or leave it empty", source.medium()));
  }
  if (!source.medium().empty() && source.medium() != "Memory") {
    return Error(ErrorKind::kInvalid,
                 fmt::format("emptyDir medium \"{}\" is unknown; use Memory or leave it empty", source.medium()));
  }
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(path.substr(0, path.rfind('/')), 0750));
  struct stat status{};
  const bool is_new = ::lstat(path.c_str(), &status) != 0;
  if (!is_new && !S_ISDIR(status.st_mode)) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("{} is {} and must be a directory", path, FileTypeName(status.st_mode)));
  }
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(path, 0755));
  if (source.medium() == "Memory") DAEMONSETD_RETURN_IF_ERROR(MountTmpfs(path, TmpfsSize(spec, source)));
  return SetOwnership(spec, source, path);
}

}  // namespace daemonsetd::pods
