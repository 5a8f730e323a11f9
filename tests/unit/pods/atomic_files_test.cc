#include "agent/pods/volumes/atomic_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

namespace fs = std::filesystem;

class AtomicFiles : public TemporaryTree {
 protected:
  AtomicFiles() { MakeVolume(); }

  void MakeVolume() {
    fs::remove_all(volume_);
    fs::create_directories(volume_);
  }
  // Every file says which version it is of.
  static WantedFiles Version(const std::string& version, const std::vector<std::string>& paths) {
    WantedFiles wanted;
    for (const std::string& path : paths) wanted.files[path] = {.content = version, .mode = 0644, .user = {}};
    return wanted;
  }
  void Update(const WantedFiles& wanted) {
    const Result<bool> updated = UpdateFiles(volume_, wanted, now_);
    ASSERT_TRUE(updated) << updated.error().message();
    now_ += Seconds(1);
  }
  std::vector<FileStep> Plan(const WantedFiles& wanted) {
    const Result<std::vector<FileStep>> steps = PlanFiles(volume_, wanted, now_);
    if (!steps) throw std::runtime_error(steps.error().message());
    return *steps;
  }
  // What a container sees: path → content, through the links. A link to nothing is "dangling".
  std::map<std::string, std::string> View() {
    std::map<std::string, std::string> view;
    for (const auto& entry : fs::directory_iterator(volume_)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("..")) continue;
      if (!fs::exists(entry.path())) {
        view[name] = "dangling";
      } else if (fs::is_directory(entry.path())) {
        for (const auto& inner : fs::recursive_directory_iterator(entry.path())) {
          if (inner.is_regular_file()) {
            view[name + "/" + fs::relative(inner.path(), entry.path()).string()] = Read(inner.path());
          }
        }
      } else {
        view[name] = Read(entry.path());
      }
    }
    return view;
  }
  // Names beginning with "..", without ..data.
  std::vector<std::string> DataDirectories() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(volume_)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("..") && name != "..data") names.push_back(name);
    }
    return names;
  }
  static std::map<std::string, std::string> ViewOf(const WantedFiles& wanted) {
    std::map<std::string, std::string> view;
    for (const auto& [path, file] : wanted.files) view[path] = file.content;
    return view;
  }
  // Every file that is seen is there, and all are of one version.
  void ExpectOneVersion(const std::string& when) {
    std::set<std::string> versions;
    for (const auto& [path, content] : View()) versions.insert(content);
    EXPECT_LE(versions.size(), 1u) << when;
    EXPECT_FALSE(versions.contains("dangling")) << when;
  }

  // The agent dies before the step of that number of the update; the next process wants `next`.
  void CrashAt(std::size_t crash, const WantedFiles& from, const WantedFiles& to, const WantedFiles& next) {
    const std::string when = "a crash before step " + std::to_string(crash);
    MakeVolume();
    Update(from);
    const std::vector<FileStep> steps = Plan(to);
    for (std::size_t i = 0; i < crash; ++i) {
      ASSERT_TRUE(Apply(steps[i])) << when;
      ASSERT_TRUE(Apply(steps[i])) << "a step may be repeated";
    }
    ExpectOneVersion(when);
    Update(next);
    EXPECT_EQ(View(), ViewOf(next)) << when;
    EXPECT_THAT(DataDirectories(), SizeIs(1)) << when;
    EXPECT_THAT(Plan(next), IsEmpty()) << when;
  }

  const std::string volume_ = Path("volume");
  WallTime now_{std::chrono::seconds(1767323045)};
};

TEST_F(AtomicFiles, AreLinksIntoOneDirectoryWithATime) {
  Update(Version("1", {"a", "dir/b", "dir/deep/c"}));
  EXPECT_EQ(View(), ViewOf(Version("1", {"a", "dir/b", "dir/deep/c"})));
  EXPECT_THAT(DataDirectories(), ElementsAre("..2026_01_02_03_04_05.000000000"));
  EXPECT_EQ(fs::read_symlink(volume_ + "/..data"), "..2026_01_02_03_04_05.000000000");
  EXPECT_EQ(fs::read_symlink(volume_ + "/a"), "..data/a");
  EXPECT_EQ(fs::read_symlink(volume_ + "/dir"), "..data/dir");
  EXPECT_TRUE(HasFiles(volume_));
}

TEST_F(AtomicFiles, ThatDidNotChangeAreNotWritten) {
  const WantedFiles wanted = Version("1", {"a", "dir/b"});
  EXPECT_FALSE(HasFiles(volume_));
  Update(wanted);
  EXPECT_THAT(Plan(wanted), IsEmpty());
  EXPECT_FALSE(*UpdateFiles(volume_, wanted, now_));
  for (const WantedFiles& other :
       {Version("2", {"a", "dir/b"}), Version("1", {"a"}), Version("1", {"a", "dir/b", "c"})}) {
    EXPECT_FALSE(Plan(other).empty());
  }
  WantedFiles mode = wanted;
  mode.files["a"].mode = 0600;
  EXPECT_FALSE(Plan(mode).empty());
}

TEST_F(AtomicFiles, MayBeNone) {
  Update(WantedFiles());
  EXPECT_TRUE(HasFiles(volume_)) << "an optional object that does not exist is complete all the same";
  EXPECT_THAT(View(), IsEmpty());
  EXPECT_THAT(Plan(WantedFiles()), IsEmpty());
}

TEST_F(AtomicFiles, HaveTheirModesWhateverTheUmask) {
  WantedFiles wanted = Version("1", {"a", "b"});
  wanted.files["a"].mode = 0400;
  wanted.files["b"].mode = 0666;
  const mode_t mask = ::umask(077);
  Update(wanted);
  ::umask(mask);
  EXPECT_EQ(Mode(volume_ + "/a"), 0400u);
  EXPECT_EQ(Mode(volume_ + "/b"), 0666u);
  EXPECT_EQ(Mode(volume_ + "/..data/"), 0755u);
}

TEST_F(AtomicFiles, BelongToTheGroupAndTheUserThatNeedThem) {
  DAEMONSETD_NEEDS_ROOT();
  WantedFiles wanted = Version("1", {"dir/a"});
  wanted.group = 2000;
  wanted.files["dir/a"].mode = 0600;
  wanted.files["dir/a"].user = 1000;
  Update(wanted);
  struct stat status{};
  ASSERT_EQ(::stat((volume_ + "/dir/a").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1000u);
  EXPECT_EQ(status.st_gid, 2000u);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
  ASSERT_EQ(::stat((volume_ + "/dir").c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, 2000u);
  EXPECT_EQ(status.st_mode & 07777, 02755u);
  EXPECT_THAT(Plan(wanted), IsEmpty());
}

TEST_F(AtomicFiles, NeverLeaveTheVolume) {
  for (const char* path :
       {"", "/etc/passwd", "..", "../x", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "..data", "..x/a"}) {
    EXPECT_FALSE(CheckFilePath(path)) << path;
    const Result<bool> updated = UpdateFiles(volume_, Version("1", {path}), now_);
    ASSERT_FALSE(updated) << path;
    EXPECT_EQ(updated.error().kind(), ErrorKind::kInvalid);
  }
  EXPECT_FALSE(CheckFilePath(std::string("a\0b", 3)));
  EXPECT_FALSE(CheckFilePath(std::string(300, 'a')));
  for (const char* path : {"a", "a/b", ".hidden", "a..b", "a/..b"}) EXPECT_TRUE(CheckFilePath(path)) << path;
  EXPECT_THAT(View(), IsEmpty());
}

// VO-02, VO-11
TEST_F(AtomicFiles, ACrashBetweenAnyTwoStepsLeavesOneVersionAndTheNextUpdateOneDirectory) {
  const WantedFiles before = Version("1", {"stays", "goes", "becomes-a-directory", "dir/stays", "dir/goes"});
  const WantedFiles after = Version("2", {"stays", "comes", "becomes-a-directory/a", "dir/stays", "dir/comes"});
  const WantedFiles later = Version("3", {"stays", "goes", "dir"});
  const WantedFiles none;
  const std::vector<std::pair<const WantedFiles*, const WantedFiles*>> changes = {
      {&none, &before}, {&before, &after}, {&after, &before}, {&after, &none}, {&after, &later}};
  for (const auto& [from, to] : changes) {
    MakeVolume();
    Update(*from);
    const std::size_t count = Plan(*to).size();
    ASSERT_GT(count, 1u);
    for (std::size_t crash = 0; crash <= count; ++crash) {
      for (const WantedFiles* next : {to, from, &later}) CrashAt(crash, *from, *to, *next);
    }
  }
}

// VO-11
TEST_F(AtomicFiles, AReaderSeesOneVersionAtEveryMomentOfManyUpdates) {
  for (int version = 0; version < 100; ++version) {
    std::vector<std::string> paths = {"always", "dir/always"};
    for (int bit = 0; bit < 4; ++bit) {
      if ((version >> bit) % 2 == 1) paths.push_back("sometimes-" + std::to_string(bit));
    }
    const WantedFiles wanted = Version(std::to_string(version), paths);
    for (const FileStep& step : Plan(wanted)) {
      ASSERT_TRUE(Apply(step));
      ExpectOneVersion("version " + std::to_string(version));
    }
    EXPECT_EQ(View(), ViewOf(wanted));
    now_ += Nanoseconds(version % 2);  // two updates within one tick of the clock
  }
  EXPECT_THAT(DataDirectories(), SizeIs(1));
}

// VO-02
TEST_F(AtomicFiles, WhatAnotherWriterLeftGoes) {
  Update(Version("1", {"a"}));
  fs::create_directories(volume_ + "/..2020_01_01_00_00_00.123456789/x");
  fs::create_symlink("nowhere", volume_ + "/..data_tmp");
  fs::create_symlink("..data/stray", volume_ + "/stray");
  Write(volume_ + "/file", "not ours");
  Update(Version("1", {"a"}));
  EXPECT_EQ(View(), ViewOf(Version("1", {"a"})));
  EXPECT_THAT(DataDirectories(), SizeIs(1));

  fs::remove(volume_ + "/..data");
  fs::create_directories(volume_ + "/..data/a");
  fs::remove(volume_ + "/a");
  fs::create_directories(volume_ + "/a");
  Update(Version("2", {"a"}));
  EXPECT_EQ(View(), ViewOf(Version("2", {"a"})));
  EXPECT_THAT(DataDirectories(), SizeIs(1));
}

TEST_F(AtomicFiles, LeaveMountPointsOfOtherVolumesAlone) {
  WantedFiles wanted = Version("1", {"a", "b/c"});
  wanted.mount_points = {"peers/list", "b/d", "b/e"};
  Update(wanted);
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(volume_ + "/peers/list")));
  EXPECT_TRUE(fs::is_symlink(volume_ + "/b")) << "a file of that name came first";
  EXPECT_THAT(Plan(wanted), IsEmpty());
  struct stat before{};
  ASSERT_EQ(::stat((volume_ + "/peers/list").c_str(), &before), 0);

  wanted = Version("2", {"a", "peers"});
  wanted.mount_points = {"peers/list", "b/d", "b/e"};
  Update(wanted);
  EXPECT_EQ(View(), (std::map<std::string, std::string>{{"a", "2"}}));
  struct stat after{};
  ASSERT_EQ(::stat((volume_ + "/peers/list").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(volume_ + "/b/d"))) << "the file in its place is gone";
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(volume_ + "/b/e")));
  EXPECT_THAT(Plan(wanted), IsEmpty());
}

TEST_F(AtomicFiles, ASymbolicLinkOutOfTheVolumeIsNotFollowed) {
  Write(Path("precious/a"), "data");
  fs::create_symlink(Path("precious"), volume_ + "/..data");
  Update(Version("1", {"a"}));
  EXPECT_EQ(Read(Path("precious/a")), "data");
  EXPECT_EQ(View(), ViewOf(Version("1", {"a"})));
}

TEST_F(AtomicFiles, SayWhatIsInTheWay) {
  const Result<bool> updated = UpdateFiles(volume_, Version("1", {"a", "a/b"}), now_);
  ASSERT_FALSE(updated);
  EXPECT_THAT(updated.error().message(), HasSubstr("a"));
  Update(Version("2", {"a"}));
  EXPECT_THAT(DataDirectories(), SizeIs(1));
}

}  // namespace
}  // namespace daemonsetd::pods
