#include "agent/pods/volumes/sub_path.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "agent/pods/volumes/mount_table.h"
#include "agent/pods/volumes/volumes.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::HasSubstr;

class SubPathTest : public TemporaryTree {
 protected:
  SubPathTest() { std::filesystem::create_directories(Path("volume")); }

  Result<Descriptor> Open(const std::string& sub_path, MissingSubPath missing = MissingSubPath::kMakeDirectories) {
    return OpenSubPath(Path("volume"), sub_path, missing);
  }
  // Where the descriptor leads; empty when it was refused.
  std::string Opened(const std::string& sub_path) {
    const auto opened = Open(sub_path);
    if (!opened) return "";
    char target[PATH_MAX];
    const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", opened->get()).c_str(), target, sizeof target);
    return {target, static_cast<std::size_t>(length)};
  }
  Status Pin(const std::string& sub_path, SubPathMounts mounts = SubPathMounts::kReceive) {
    const auto opened = Open(sub_path);
    if (!opened) return opened.error();
    return BindSubPath(*opened, Target(), mounts);
  }
  std::string Target() const { return Path("kubelet/pods/uid-1/volume-subpaths/v/c/0"); }
  std::size_t Mounts(const std::string& beneath) const { return MountsBeneath(beneath)->size(); }
  // Mounts made beneath this directory spread as they do on a node whose root is shared.
  void Share(const std::string& path) {
    ASSERT_EQ(::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(::mount(nullptr, path.c_str(), nullptr, MS_SHARED, nullptr), 0);
  }
};

TEST_F(SubPathTest, NeverLeavesItsVolume) {
  Write(Path("secret/file"), "x");
  Write(Path("volume/file"), "x");
  std::filesystem::create_directories(Path("volume/real"));
  std::filesystem::create_directory_symlink(Path("secret"), Path("volume/absolute"));
  std::filesystem::create_directory_symlink("../secret", Path("volume/relative"));
  std::filesystem::create_directory_symlink("real", Path("volume/inside"));
  std::filesystem::create_symlink("loop", Path("volume/loop"));
  EXPECT_EQ(Opened("inside"), Path("volume/real"));
  EXPECT_EQ(Opened("inside/./new//deep"), Path("volume/real/new/deep"));
  EXPECT_EQ(Opened("file"), Path("volume/file")) << "a file stays a file";
  for (const char* wrong : {"absolute", "absolute/file", "absolute/new", "relative", "relative/new", "loop", "..",
                            "real/../../secret", "/etc", "", "file/below"}) {
    EXPECT_FALSE(Open(wrong)) << wrong;
  }
  EXPECT_FALSE(Exists(Path("secret/new")));
}

// VO-03: a key that is missing is not made as a directory.
TEST_F(SubPathTest, MakesNothingInAVolumeThatOnlyTheAgentFills) {
  const auto opened = Open("key", MissingSubPath::kFail);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::kAbsent);
  EXPECT_EQ(opened.error().message(), "subPath key: the volume has no key");
  EXPECT_FALSE(Exists(Path("volume/key")));
  Write(Path("volume/key"), "added");
  EXPECT_TRUE(Open("key", MissingSubPath::kFail));
}

TEST_F(SubPathTest, PinsFilesAndDirectories) {
  DAEMONSETD_NEEDS_ROOT();
  Write(Path("volume/file"), "file");
  Write(Path("volume/directory/inner"), "inner");
  ASSERT_TRUE(Pin("file"));
  EXPECT_EQ(Read(Target()), "file");
  ASSERT_TRUE(Pin("directory")) << "the volume has another kind of thing there since the last start";
  EXPECT_EQ(Read(Target() + "/inner"), "inner");
  ASSERT_TRUE(Pin("file"));
  EXPECT_EQ(Read(Target()), "file");
  EXPECT_EQ(Mounts(root_), 1u) << "one mount, however often it was made";
  ASSERT_TRUE(UnbindSubPath(Target()));
  ASSERT_TRUE(UnbindSubPath(Target()));
  ASSERT_TRUE(UnbindSubPath(Path("nothing/there")));
  EXPECT_EQ(Mounts(root_), 0u);
  EXPECT_EQ(Read(Path("volume/file")), "file");
}

// VO-01: the file is replaced as the `..data` swap replaces it, many times, and once it is gone for a while.
TEST_F(SubPathTest, ARestartTakesTheCurrentContent) {
  DAEMONSETD_NEEDS_ROOT();
  for (int i = 0; i < 100; ++i) {
    Write(Path("volume/new"), std::to_string(i));
    std::filesystem::rename(Path("volume/new"), Path("volume/key"));
    ASSERT_TRUE(Pin("key")) << i;
    ASSERT_EQ(Read(Target()), std::to_string(i));
  }
  std::filesystem::remove(Path("volume/key"));
  EXPECT_EQ(Read(Target()), "99") << "the running container keeps what it has";
  EXPECT_EQ(OpenSubPath(Path("volume"), "key", MissingSubPath::kFail).error().kind(), ErrorKind::kAbsent);
  Write(Path("volume/key"), "back");
  ASSERT_TRUE(Pin("key"));
  EXPECT_EQ(Read(Target()), "back");
  ASSERT_TRUE(UnbindSubPath(Target()));
}

// After each step at which the agent may have died, both the next start and the tear-down work.
TEST_F(SubPathTest, GoesOnAfterACrashAtAnyStep) {
  DAEMONSETD_NEEDS_ROOT();
  Write(Path("volume/file"), "file");
  const auto make_file_target = [&] { Write(Target(), ""); };
  const auto bind = [&](const std::string& source) {
    ASSERT_EQ(::mount(Path(source).c_str(), Target().c_str(), nullptr, MS_BIND, nullptr), 0);
  };
  for (int step = 0; step <= 5; ++step) {
    for (const bool start_again : {true, false}) {
      switch (step) {
        case 0: std::filesystem::create_directories(Path("kubelet/pods/uid-1/volume-subpaths/v")); break;
        case 1: make_file_target(); break;
        case 2: std::filesystem::create_directories(Target()); break;  // from when the source was a directory
        case 3: make_file_target(), bind("volume/file"); break;        // before its propagation was set
        case 4: make_file_target(), bind("volume/file"), bind("volume/file"); break;
        case 5: ASSERT_TRUE(Pin("file")); break;
      }
      if (start_again) {
        ASSERT_TRUE(Pin("file")) << step;
        EXPECT_EQ(Read(Target()), "file");
        EXPECT_EQ(Mounts(root_), 1u);
      }
      const Status down = TearDownVolumes(directories(), "uid-1");
      ASSERT_TRUE(down) << step << ": " << down.error().message();
      EXPECT_EQ(Mounts(root_), 0u) << step;
      EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
      EXPECT_EQ(Read(Path("volume/file")), "file");
    }
  }
}

// VO-05, the other way round: what is mounted in the volume is seen through the subPath, and stays when that goes.
TEST_F(SubPathTest, LeavesTheMountsOfItsVolumeAlone) {
  DAEMONSETD_NEEDS_ROOT();
  Write(Path("precious/marker"), "data");
  std::filesystem::create_directories(Path("volume/part/mount"));
  Share(Path("volume"));
  for (const SubPathMounts mode : {SubPathMounts::kReceive, SubPathMounts::kShare}) {
    ASSERT_TRUE(Pin("part", mode));
    ASSERT_EQ(::mount(Path("precious").c_str(), Path("volume/part/mount").c_str(), nullptr, MS_BIND, nullptr), 0);
    EXPECT_EQ(Read(Target() + "/mount/marker"), "data");
    ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
    EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
    EXPECT_EQ(Read(Path("volume/part/mount/marker")), "data") << "still mounted";
    EXPECT_EQ(Read(Path("precious/marker")), "data");
    ASSERT_EQ(::umount2(Path("volume/part/mount").c_str(), 0), 0);
  }
  // Only a Bidirectional container's mounts reach the volume.
  std::filesystem::create_directories(Path("volume/part/own"));
  for (const SubPathMounts mode : {SubPathMounts::kReceive, SubPathMounts::kShare}) {
    ASSERT_TRUE(Pin("part", mode));
    const std::string inside = Target() + "/own";
    ASSERT_EQ(::mount(Path("precious").c_str(), inside.c_str(), nullptr, MS_BIND, nullptr), 0);
    EXPECT_EQ(Exists(Path("volume/part/own/marker")), mode == SubPathMounts::kShare);
    ASSERT_EQ(::umount2(inside.c_str(), 0), 0);
    ASSERT_TRUE(UnbindSubPath(Target()));
  }
  ASSERT_EQ(::umount2(Path("volume").c_str(), 0), 0);
}

// A container of the pod swaps a directory for a link that leads out, as fast as it can. Whatever is pinned, if
// anything, is the volume's, and nothing is ever made outside.
TEST_F(SubPathTest, ASwapBetweenCheckAndMountLeadsNowhere) {
  DAEMONSETD_NEEDS_ROOT();
  Write(Path("secret/sub/marker"), "secret");
  Write(Path("volume/a/sub/marker"), "volume");
  std::filesystem::create_directory_symlink(Path("secret"), Path("volume/link"));
  const int volume = ::open(Path("volume").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(volume, 0);
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    while (!stop) ::renameat2(volume, "a", volume, "link", RENAME_EXCHANGE);
  });
  constexpr int kAttempts = 300;
  for (int i = 0; i < kAttempts; ++i) {
    if (const Status pinned = Pin("a/sub"); pinned) {
      EXPECT_EQ(Read(Target() + "/marker"), "volume");
    } else {
      EXPECT_THAT(pinned.error().message(), HasSubstr("subPath"));
    }
    const auto made = Open(fmt::format("a/made-{}", i));
    EXPECT_FALSE(Exists(Path(fmt::format("secret/made-{}", i))));
    static_cast<void>(made);
  }
  stop = true;
  swapper.join();
  ::close(volume);
  ASSERT_TRUE(UnbindSubPath(Target()));
}

}  // namespace
}  // namespace daemonsetd::pods
