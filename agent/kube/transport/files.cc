#include "agent/kube/transport/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "agent/async/descriptor.h"

namespace daemonsetd::kube {
namespace {

Error Unreadable(int code) {
  std::string reason = std::strerror(code);
  if (code == ENOENT) reason = "there is no such file";
  if (code == EACCES) reason = "permission denied";
  return Error(ErrorKind::kDenied, "can't be read: " + reason);
}

}  // namespace

FileState StateOf(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {.error = errno};
  return {.stamp = async::FileStampOf(status)};
}

Result<std::string> ReadSmallFile(const std::string& path, std::size_t limit) {
  // Not waiting for a writer, should the path be a pipe.
  const async::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return Unreadable(errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return Unreadable(errno);
  if (!S_ISREG(status.st_mode)) return Error(ErrorKind::kDenied, "is not a regular file");
  std::string text(limit + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Unreadable(errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > limit) {
    return Error(ErrorKind::kDenied, fmt::format("is larger than {} bytes; name another file", limit));
  }
  text.resize(size);
  text.shrink_to_fit();
  return text;
}

}  // namespace daemonsetd::kube
