#include "agent/pods/volumes/sub_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <vector>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

int OpenBeneath(int root, const std::string& path) {
  struct open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    const int fd = static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
    // EAGAIN: something was renamed meanwhile, and the kernel could not be sure.
    if (fd >= 0 || errno != EAGAIN || attempt >= 16) return fd;
  }
}

Error Refused(const std::string& volume, const std::string& path, int error_number) {
  if (error_number == EXDEV || error_number == ELOOP) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("subPath {}: a symbolic link on the way leads out of the volume {}", path, volume));
  }
  return SystemError(fmt::format("subPath {} of {}", path, volume), error_number);
}

// The parts of a relative path, without "." and empty ones.
Result<std::vector<std::string>> Split(const std::string& sub_path) {
  if (sub_path.empty() || sub_path.front() == '/' || sub_path.size() >= PATH_MAX ||
      sub_path.find('\0') != std::string::npos) {
    return Error(ErrorKind::kInvalid, fmt::format("subPath \"{}\" must be a relative path", sub_path.substr(0, 64)));
  }
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= sub_path.size();) {
    const std::size_t slash = std::min(sub_path.find('/', start), sub_path.size());
    const std::string part = sub_path.substr(start, slash - start);
    if (part == "..") return Error(ErrorKind::kInvalid, fmt::format("subPath {} must not contain \"..\"", sub_path));
    if (!part.empty() && part != ".") parts.push_back(part);
    start = slash + 1;
  }
  return parts;
}

std::string ProcPath(const Descriptor& descriptor) { return fmt::format("/proc/self/fd/{}", descriptor.get()); }

// A bind mount wants a file for a file and a directory for a directory.
Status MakeTarget(const std::string& target, bool directory) {
  constexpr mode_t kMode = 0750;
  const std::size_t slash = target.rfind('/');
  if (slash == std::string::npos || slash == 0) {
    return Error(ErrorKind::kInvalid, fmt::format("{} cannot hold a subPath", target));
  }
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(target.substr(0, slash), kMode));
  struct stat status{};
  if (::lstat(target.c_str(), &status) == 0) {
    if (directory ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode)) return Ok();
    // The source was of the other kind at the last start; nothing but the mount ever was in here.
    const int removed = S_ISDIR(status.st_mode) ? ::rmdir(target.c_str()) : ::unlink(target.c_str());
    if (removed != 0) return SystemError("subPath: remove " + target, errno);
  } else if (errno != ENOENT) {
    return SystemError("subPath: look at " + target, errno);
  }
  if (directory) {
    if (::mkdir(target.c_str(), kMode) != 0) return SystemError("subPath: mkdir " + target, errno);
    return Ok();
  }
  const Descriptor file(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!file) return SystemError("subPath: create " + target, errno);
  return Ok();
}

}  // namespace

Result<Descriptor> OpenSubPath(const std::string& volume, const std::string& sub_path, MissingSubPath missing) {
  const Result<std::vector<std::string>> parts = Split(sub_path);
  if (!parts) return parts.error();
  const Descriptor root(::open(volume.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return SystemError("open the volume " + volume, errno);
  struct stat status{};
  if (::fstat(root.get(), &status) != 0) return SystemError("look at " + volume, errno);

  Descriptor current(OpenBeneath(root.get(), "."));
  if (!current) return Refused(volume, sub_path, errno);
  std::string walked;
  for (const std::string& part : *parts) {
    walked += walked.empty() ? part : "/" + part;
    Descriptor next(OpenBeneath(root.get(), walked));
    if (!next && errno == ENOENT) {
      if (missing == MissingSubPath::kFail) {
        return Error(ErrorKind::kAbsent, fmt::format("subPath {}: the volume has no {}", sub_path, walked));
      }
      // The parent was opened beneath the volume; mkdirat follows no link in its last component.
      if (::mkdirat(current.get(), part.c_str(), status.st_mode & 0777) != 0 && errno != EEXIST) {
        return SystemError(fmt::format("subPath: make {} in {}", walked, volume), errno);
      }
      next = Descriptor(OpenBeneath(root.get(), walked));
      if (next && ::chmod(ProcPath(next).c_str(), status.st_mode & 07777) != 0) {
        return SystemError(fmt::format("subPath: chmod {} in {}", walked, volume), errno);
      }
    }
    if (!next) return Refused(volume, walked, errno);
    current = std::move(next);
  }
  return current;
}

Status BindSubPath(const Descriptor& source, const std::string& target, SubPathMounts mounts) {
  DAEMONSETD_RETURN_IF_ERROR(UnbindSubPath(target));
  struct stat status{};
  if (::fstat(source.get(), &status) != 0) return SystemError("subPath: look at the source", errno);
  DAEMONSETD_RETURN_IF_ERROR(MakeTarget(target, S_ISDIR(status.st_mode)));
  if (::mount(ProcPath(source).c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return SystemError("subPath: bind to " + target, errno);
  }
  if (mounts == SubPathMounts::kReceive && ::mount(nullptr, target.c_str(), nullptr, MS_SLAVE, nullptr) != 0) {
    return SystemError("subPath: set the propagation of " + target, errno);
  }
  return Ok();
}

Status UnbindSubPath(const std::string& target) {
  // Private first: otherwise the end of a mount beneath this one would spread to the same mount in the source.
  while (::mount(nullptr, target.c_str(), nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) {
    if (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return SystemError("umount " + target, errno);
  }
  // EINVAL: not a mount point.
  if (errno != EINVAL && errno != ENOENT && errno != ENOTDIR) return SystemError("umount " + target, errno);
  return Ok();
}

}  // namespace daemonsetd::pods
