#include "agent/pods/volumes/sub_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <vector>

#include <fmt/format.h>

#include "agent/pods/files.h"

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

}  // namespace

Result<std::string> ResolveSubPath(const std::string& volume, const std::string& sub_path) {
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

  const Descriptor root(::open(volume.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return SystemError("open the volume " + volume, errno);
  struct stat status{};
  if (::fstat(root.get(), &status) != 0) return SystemError("look at " + volume, errno);

  Descriptor current(OpenBeneath(root.get(), "."));
  if (!current) return Refused(volume, sub_path, errno);
  std::string walked;
  for (const std::string& part : parts) {
    walked += walked.empty() ? part : "/" + part;
    Descriptor next(OpenBeneath(root.get(), walked));
    if (!next && errno == ENOENT) {
      // The parent was opened beneath the volume; mkdirat follows no link in its last component.
      if (::mkdirat(current.get(), part.c_str(), status.st_mode & 0777) != 0 && errno != EEXIST) {
        return SystemError(fmt::format("subPath: make {} in {}", walked, volume), errno);
      }
      next = Descriptor(OpenBeneath(root.get(), walked));
      if (next && ::chmod(fmt::format("/proc/self/fd/{}", next.get()).c_str(), status.st_mode & 07777) != 0) {
        return SystemError(fmt::format("subPath: chmod {} in {}", walked, volume), errno);
      }
    }
    if (!next) return Refused(volume, walked, errno);
    current = std::move(next);
  }

  char target[PATH_MAX];
  const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", current.get()).c_str(), target, sizeof target);
  if (length < 0) return SystemError("resolve " + volume + "/" + sub_path, errno);
  return std::string(target, static_cast<std::size_t>(length));
}

}  // namespace daemonsetd::pods
