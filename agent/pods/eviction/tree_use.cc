#include "agent/pods/eviction/tree_use.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

// Descriptors that are open at a time. What lies deeper is left out.
constexpr std::size_t kMostDepth = 200;
constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks, whatever the file system's are
constexpr int kOpenFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory Adopt(Descriptor descriptor) {
  Directory directory(::fdopendir(descriptor.get()));
  if (directory) descriptor.Release();
  return directory;
}

bool IsSelfOrParent(std::string_view name) { return name == "." || name == ".."; }

void Count(const struct stat& status, decide::DiskUse& use) {
  use.bytes += static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
  ++use.inodes;
}

}  // namespace

Result<decide::DiskUse> MeasureTree(const std::string& path, std::size_t most_entries) {
  decide::DiskUse use;
  Descriptor top(::open(path.c_str(), kOpenFlags));
  if (!top && errno == ENOENT) return use;
  struct stat root{};
  if (!top || ::fstat(top.get(), &root) != 0) return SystemError("measure " + path, errno);
  Count(root, use);
  std::vector<Directory> open;
  if (Directory directory = Adopt(std::move(top))) open.push_back(std::move(directory));
  std::set<ino_t> linked;  // files of several names count once
  while (!open.empty() && use.inodes < most_entries) {
    const int parent = ::dirfd(open.back().get());
    const dirent* entry = ::readdir(open.back().get());
    if (entry == nullptr) {
      open.pop_back();
      continue;
    }
    struct stat status{};
    if (IsSelfOrParent(entry->d_name)) continue;
    // Gone meanwhile, or another file system.
    if (::fstatat(parent, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_dev != root.st_dev) continue;
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && !linked.insert(status.st_ino).second) continue;
    Count(status, use);
    if (!S_ISDIR(status.st_mode) || open.size() >= kMostDepth) continue;
    Descriptor below(::openat(parent, entry->d_name, kOpenFlags));
    if (!below) continue;
    if (Directory directory = Adopt(std::move(below))) open.push_back(std::move(directory));
  }
  return use;
}

}  // namespace daemonsetd::pods
