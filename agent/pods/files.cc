#include "agent/pods/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

// The umask is the process's; the mode must not depend on it.
Status MakeOne(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    if (::chmod(path.c_str(), mode) != 0) return SystemError("chmod " + path, errno);
    return Ok();
  }
  const int error_number = errno;
  struct stat status{};
  if (error_number == EEXIST && ::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return Ok();
    return Error(ErrorKind::kInvalid,
                 fmt::format("{} is {} and must be a directory; move it away", path, FileTypeName(status.st_mode)));
  }
  return SystemError("mkdir " + path, error_number);
}

Status WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write " + path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return Ok();
}

}  // namespace

Error SystemError(std::string_view what, int error_number) {
  ErrorKind kind = ErrorKind::kRetry;
  switch (error_number) {
    case ENOENT: kind = ErrorKind::kAbsent; break;
    case EEXIST: kind = ErrorKind::kExists; break;
    case EACCES:
    case EPERM:
    case EROFS: kind = ErrorKind::kDenied; break;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP: kind = ErrorKind::kInvalid; break;
    case ENOSYS:
    case EOPNOTSUPP: kind = ErrorKind::kUnsupported; break;
    default: break;
  }
  return Error(kind, fmt::format("{}: {}", what, std::generic_category().message(error_number)));
}

Status MakeDirectories(const std::string& path, mode_t mode) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    DAEMONSETD_RETURN_IF_ERROR(MakeOne(path.substr(0, end), mode));
  }
  return MakeOne(path, mode);
}

Result<std::string> ReadSmallFile(const std::string& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return SystemError("open " + path, errno);
  std::string content;
  char buffer[16384];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read " + path, errno);
    if (count == 0) return content;
    content.append(buffer, static_cast<std::size_t>(count));
    if (content.size() > limit) {
      return Error(ErrorKind::kInvalid, fmt::format("{} is larger than {} bytes", path, limit));
    }
  }
}

Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode) {
  if (const Result<std::string> present = ReadSmallFile(path, content.size()); present && *present == content)
    return Ok();
  // A name of its own: containers of a pod that start side by side write the same file.
  std::string temporary = path + ".new.XXXXXX";
  const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return SystemError("create " + temporary, errno);
  Status status = Ok();
  if (::fchmod(file.get(), mode) != 0) status = SystemError("chmod " + temporary, errno);
  if (status) status = WriteAll(file.get(), content, temporary);
  if (status && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = SystemError("rename " + temporary + " to " + path, errno);
  }
  if (!status) ::unlink(temporary.c_str());
  return status;
}

std::string_view FileTypeName(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISLNK(mode)) return "a symbolic link";
  return "something else";
}

std::optional<std::string> ReadLink(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), buffer, sizeof buffer);
  if (length < 0) return std::nullopt;
  return std::string(buffer, static_cast<std::size_t>(length));
}

Result<std::vector<std::string>> ListDirectory(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) {
    if (errno == ENOENT) return names;
    return SystemError("open " + path, errno);
  }
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return SystemError("read " + path, errno);
  return names;
}

}  // namespace daemonsetd::pods
