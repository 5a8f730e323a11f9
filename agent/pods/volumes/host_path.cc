#include "agent/pods/volumes/host_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string_view>

#include <fmt/format.h>

#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

struct TypeRule {
  std::string_view type;
  mode_t format;
  std::string_view wanted;
};
constexpr TypeRule kRules[] = {
    {"DirectoryOrCreate", S_IFDIR, "a directory"},
    {"Directory", S_IFDIR, "a directory"},
    {"FileOrCreate", S_IFREG, "a regular file"},
    {"File", S_IFREG, "a regular file"},
    {"Socket", S_IFSOCK, "a socket"},
    {"CharDevice", S_IFCHR, "a character device"},
    {"BlockDevice", S_IFBLK, "a block device"},
};

Status CreateFile(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) {
    if (errno == ENOENT) {
      return Error(ErrorKind::kAbsent, fmt::format("hostPath {}: type FileOrCreate makes the file but not its "
                                                   "directory, and that does not exist",
                                                   path));
    }
    if (errno == EEXIST) return Ok();  // somebody was faster
    return SystemError("hostPath: create " + path, errno);
  }
  if (::fchmod(file.get(), 0644) != 0) return SystemError("hostPath: chmod " + path, errno);
  return Ok();
}

}  // namespace

Status PrepareHostPath(const corev1::HostPathVolumeSource& source) {
  const std::string& path = source.path();
  if (path.empty() || path.front() != '/') {
    return Error(ErrorKind::kInvalid, fmt::format("hostPath {}: the path must be absolute", path));
  }
  if (source.type().empty()) return Ok();  // no check; the runtime makes a missing directory
  const TypeRule* rule = nullptr;
  for (const TypeRule& candidate : kRules) {
    if (candidate.type == source.type()) rule = &candidate;
  }
  if (rule == nullptr) {
    return Error(ErrorKind::kInvalid, fmt::format("hostPath {}: unknown type \"{}\"", path, source.type()));
  }

  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return SystemError("hostPath: look at " + path, errno);
    if (rule->type == "DirectoryOrCreate") return MakeDirectories(path, 0755);
    if (rule->type == "FileOrCreate") return CreateFile(path);
    return Error(ErrorKind::kAbsent,
                 fmt::format("hostPath {}: nothing is there; type {} wants {}", path, rule->type, rule->wanted));
  }
  if ((status.st_mode & S_IFMT) != rule->format) {
    return Error(ErrorKind::kInvalid, fmt::format("hostPath {} is {}; type {} wants {}", path,
                                                  FileTypeName(status.st_mode), rule->type, rule->wanted));
  }
  return Ok();
}

}  // namespace daemonsetd::pods
