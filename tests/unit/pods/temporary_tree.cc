#include "tests/unit/pods/temporary_tree.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "agent/pods/volumes/mount_table.h"

namespace daemonsetd::pods {
namespace {

std::string MakeRoot() {
  std::string name = (std::filesystem::temp_directory_path() / "daemonsetd-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
  return std::filesystem::canonical(name).string();
}

}  // namespace

TemporaryTree::TemporaryTree() : root_(MakeRoot()) {}

TemporaryTree::~TemporaryTree() {
  const Result<std::vector<MountEntry>> mounts = MountsBeneath(root_);
  EXPECT_TRUE(mounts) << "the mount table cannot be read";
  if (!mounts) return;
  for (auto mount = mounts->rbegin(); mount != mounts->rend(); ++mount) {
    ADD_FAILURE() << "still mounted: " << mount->path;
    ::umount2(mount->path.c_str(), MNT_DETACH);
  }
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

Directories TemporaryTree::directories() const {
  return Directories{
      .pod_root = Path("kubelet"), .log_root = Path("log/pods"), .container_log_dir = Path("log/containers")};
}

void TemporaryTree::Write(const std::string& path, std::string_view content) const {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << content;
}

std::string TemporaryTree::Read(const std::string& path) const {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

bool TemporaryTree::Exists(const std::string& path) const {
  return std::filesystem::exists(std::filesystem::symlink_status(path));
}

unsigned TemporaryTree::Mode(const std::string& path) const {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) throw std::runtime_error("nothing at " + path);
  return status.st_mode & 07777;
}

}  // namespace daemonsetd::pods
