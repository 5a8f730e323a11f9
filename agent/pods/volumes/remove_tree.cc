#include "agent/pods/volumes/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

// Hostile trees are deep; each level holds a descriptor.
constexpr int kMaxDepth = 256;

int OpenBeneath(int directory, const char* name) {
  struct open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return static_cast<int>(::syscall(SYS_openat2, directory, name, &how, sizeof how));
}

class Remover {
 public:
  explicit Remover(std::string_view last) : last_(last) {}

  // Removes the entry `name` of `directory`, whose path is `path`.
  void Remove(int directory, const std::string& name, const std::string& path, int depth) {
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return;
    if (errno == EBUSY) return Mounted(path);
    if (errno != EISDIR && errno != EPERM) return Fail("remove " + path, errno);
    const int not_a_file = errno;

    Descriptor child(OpenBeneath(directory, name.c_str()));
    if (!child) {
      if (errno == EXDEV) return Mounted(path);
      if (errno == ENOENT) return;
      // EPERM on a file that is immutable, not a directory.
      return Fail("remove " + path, errno == ENOTDIR ? not_a_file : errno);
    }
    if (depth >= kMaxDepth) {
      Note(Error(ErrorKind::kInvalid, fmt::format("{} is more than {} directories deep", path, kMaxDepth)));
      return;
    }
    const std::size_t problems = problems_;
    RemoveEntries(std::move(child), path, depth);
    if (problems_ != problems) return;  // something must stay, and so must the way to it
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    if (errno == EBUSY) return Mounted(path);
    Fail("remove directory " + path, errno);
  }

  Status Finish() const { return first_; }

 private:
  void RemoveEntries(Descriptor directory, const std::string& path, int depth) {
    const int fd = directory.get();
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
    if (!stream) return Fail("read " + path, errno);
    directory.Release();  // the stream closes it
    std::vector<std::string> names;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    if (errno != 0) return Fail("read " + path, errno);
    const bool is_root = depth == 0 && !last_.empty();
    if (is_root) std::partition(names.begin(), names.end(), [this](const std::string& name) { return name != last_; });
    for (const std::string& name : names) {
      if (is_root && name == last_ && problems_ != 0) return;
      Remove(fd, name, path + "/" + name, depth + 1);
    }
  }

  void Mounted(const std::string& path) {
    Note(Error(ErrorKind::kConflict,
               fmt::format("{} is still mounted; nothing beneath it was removed. Unmount it: umount {}", path, path)));
  }
  void Fail(const std::string& what, int error_number) { Note(SystemError(what, error_number)); }
  void Note(const Error& error) {
    if (problems_++ == 0) first_ = error;
  }

  const std::string_view last_;
  Status first_ = Ok();
  std::size_t problems_ = 0;
};

}  // namespace

Status RemoveTree(const std::string& path, std::string_view last) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size()) {
    return Error(ErrorKind::kInvalid, fmt::format("refusing to remove {}: not an absolute path of a file", path));
  }
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  const Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) {
    if (errno == ENOENT) return Ok();
    return SystemError("open " + parent, errno);
  }
  Remover remover(last);
  remover.Remove(directory.get(), path.substr(slash + 1), path, 0);
  return remover.Finish();
}

}  // namespace daemonsetd::pods
