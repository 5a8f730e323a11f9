#include "agent/pods/eviction/tree_use.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kFile = 64 << 10;

class TreeUseTest : public TemporaryTree {
 protected:
  TreeUseTest() {
    std::filesystem::create_directories(Path("top/below/deeper"));
    Write(Path("top/file"), std::string(kFile, 'x'));
    Write(Path("top/below/deeper/file"), std::string(kFile, 'x'));
  }
  decide::DiskUse Use() const { return MeasureTree(Path("top")).value(); }
};

TEST_F(TreeUseTest, CountsWhatIsThereOnce) {
  const decide::DiskUse use = Use();
  EXPECT_EQ(use.inodes, 5);
  EXPECT_GE(use.bytes, 2 * kFile);
  EXPECT_LT(use.bytes, 2 * kFile + (32 << 10));
  std::filesystem::create_hard_link(Path("top/file"), Path("top/link"));
  EXPECT_EQ(Use().inodes, 5);
  EXPECT_EQ(Use().bytes, use.bytes);
}

TEST_F(TreeUseTest, FollowsNoLink) {
  Write(Path("elsewhere"), std::string(kFile, 'x'));
  const decide::DiskUse before = Use();
  std::filesystem::create_symlink(Path("elsewhere"), Path("top/link"));
  std::filesystem::create_directory_symlink(Path("top"), Path("top/loop"));
  EXPECT_EQ(Use().inodes, before.inodes + 2);
  EXPECT_LT(Use().bytes, before.bytes + kFile);
}

TEST_F(TreeUseTest, OfNoDirectoryThereIsNothing) {
  EXPECT_EQ(MeasureTree(Path("none")).value().bytes, 0);
  EXPECT_FALSE(MeasureTree(Path("top/file"))) << "not a directory";
}

TEST_F(TreeUseTest, LeavesOffWhereATreeIsEndless) {
  for (int i = 0; i < 50; ++i) Write(Path("top/" + std::to_string(i)), "");
  EXPECT_EQ(MeasureTree(Path("top"), 10).value().inodes, 10);
}

TEST_F(TreeUseTest, EntersNoOtherFileSystem) {
  DAEMONSETD_NEEDS_ROOT();
  const decide::DiskUse before = Use();
  std::filesystem::create_directory(Path("top/mounted"));
  ASSERT_EQ(::mount("tmpfs", Path("top/mounted").c_str(), "tmpfs", 0, ""), 0);
  Write(Path("top/mounted/file"), std::string(kFile, 'x'));
  EXPECT_EQ(Use().inodes, before.inodes);
  ASSERT_EQ(::umount(Path("top/mounted").c_str()), 0);
}

}  // namespace
}  // namespace daemonsetd::pods
