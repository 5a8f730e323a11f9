// The manifest source on a real directory with real inotify; only the clock is moved by hand, so that no test depends
// on how fast the machine is.
#include "agent/manifests/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/loop.h"
#include "tests/support/temporary_directory.h"

namespace daemonsetd::manifests {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

std::string Pod(const std::string& name, const std::string& image = "busybox:1") {
  return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name +
         "\nspec:\n  containers:\n  - name: c\n    image: " + image + "\n";
}

class ManifestSourceTest : public ::testing::Test {
 protected:
  ManifestSourceTest() { fs::create_directories(directory_); }
  ~ManifestSourceTest() override {
    if (running_ != nullptr && !running_->done()) loop_.Cancel(running_);
    source_.reset();
    fs::permissions(directory_, fs::perms::owner_all, fs::perm_options::add, ignored_);
  }

  void Start(Nanoseconds poll = 20s) {
    source_ = std::make_unique<ManifestSource>(
        loop_.executor(), loop_.timeline(), pool_,
        SourceOptions{.directory = directory_, .node_name = "n", .poll_interval = poll}, [this] {
          ++changes_;
          history_.push_back(Names());
        });
    running_ = loop_.Start(source_->Run());
  }
  void ForgetHistory() {
    changes_ = 0;
    history_.clear();
  }

  // "pod/image", in order.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const StaticPod& pod : source_->current().pods) {
      names.push_back(pod.object.metadata().name() + "/" + pod.object.spec().containers(0).image());
    }
    return names;
  }
  std::string Errors() const {
    std::string text;
    for (const model::DecodeError& error : source_->current().errors) text += model::ToString(error) + "\n";
    return text;
  }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) { std::ofstream(Path(name)) << text; }
  void Settle() { loop_.Settle(); }
  void Pass(Nanoseconds time) { loop_.Advance(time); }

  testing::TestLoop loop_;
  async::BlockingPool pool_{0};
  const testing::TemporaryDirectory temporary_;
  const std::string root_ = temporary_.path().string();
  const std::string directory_ = root_ + "/etc/manifests";
  std::unique_ptr<ManifestSource> source_;
  std::shared_ptr<testing::Started<void>> running_;
  int changes_ = 0;
  std::vector<std::vector<std::string>> history_;
  std::error_code ignored_;
};

TEST_F(ManifestSourceTest, ReadsTheDirectoryAtStart) {
  Write("b.yaml", Pod("b"));
  Write("a.json",
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  Write("notes.txt", "nothing");
  fs::create_directory(Path("dir.yaml"));
  ASSERT_EQ(::mkfifo(Path("pipe.yaml").c_str(), 0600), 0);
  Start();
  EXPECT_TRUE(source_->current().complete);
  EXPECT_THAT(Names(), ElementsAre("a-n/i", "b-n/busybox:1"));
  EXPECT_EQ(Errors(), "");
  EXPECT_EQ(changes_, 1);
}

TEST_F(ManifestSourceTest, AFileMayBeCalledAnything) {
  Write("caf\xE9.yaml", Pod("a"));
  Write("th\xE9.yaml", "kind: [");
  Start();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
  EXPECT_EQ(source_->current().pods[0].file, Path("caf\xEF\xBF\xBD.yaml"));
  EXPECT_THAT(Errors(), HasSubstr(Path("th\xEF\xBF\xBD.yaml")));
}

TEST_F(ManifestSourceTest, EmptyDirectoryIsACompleteAnswer) {
  Start();
  EXPECT_TRUE(source_->current().complete);
  EXPECT_EQ(changes_, 1);
}

TEST_F(ManifestSourceTest, NewFileIsReadWithoutTimePassing) {
  Start();
  Write("a.yaml", Pod("a"));
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
}

TEST_F(ManifestSourceTest, CopyAndRenameIntoPlaceAreOneChangeEach) {
  Start();
  std::ofstream(root_ + "/src.yaml") << Pod("a");
  ForgetHistory();
  fs::copy_file(root_ + "/src.yaml", Path("a.yaml"));
  Settle();
  Pass(5s);
  EXPECT_EQ(changes_, 1);
  std::ofstream(root_ + "/src.yaml") << Pod("a", "busybox:2");
  fs::rename(root_ + "/src.yaml", Path("a.yaml"));
  Settle();
  Pass(5s);
  EXPECT_EQ(changes_, 2);
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:2"));
}

TEST_F(ManifestSourceTest, MovedFileIsRemovedUnderTheOldNameWithoutTheObjectGoing) {
  Write("a.yaml", Pod("a"));
  Start();
  ForgetHistory();
  fs::rename(Path("a.yaml"), Path("b.yaml"));
  Settle();
  Pass(1s);
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
  for (const auto& names : history_) EXPECT_THAT(names, SizeIs(1));
  EXPECT_EQ(Errors(), "");
}

// LC-08
TEST_F(ManifestSourceTest, VimSavesAsOneChange) {
  Write("a.yaml", Pod("a"));
  Start();
  ForgetHistory();
  Write(".a.yaml.swp", "b0VIM");
  Settle();
  Write("4913", "");
  Settle();
  fs::remove(Path("4913"));
  fs::rename(Path("a.yaml"), Path("a.yaml~"));
  Settle();
  {
    std::ofstream out(Path("a.yaml"));
    Settle();
    Pass(30ms);
    out << Pod("a", "busybox:2") << std::flush;
    Settle();
  }
  fs::remove(Path("a.yaml~"));
  fs::remove(Path(".a.yaml.swp"));
  Settle();
  Pass(5s);
  EXPECT_THAT(history_, ElementsAre(ElementsAre("a-n/busybox:2")));
}

// LC-08
TEST_F(ManifestSourceTest, EmacsLocksAndBackupsAreIgnored) {
  Write("a.yaml", Pod("a"));
  Start();
  ForgetHistory();
  fs::create_symlink("user@host.123:456", Path(".#a.yaml"));
  Write("#a.yaml#", Pod("other"));
  Settle();
  fs::rename(Path("a.yaml"), Path("a.yaml~"));
  Write("a.yaml", Pod("a", "busybox:2"));
  fs::remove(Path(".#a.yaml"));
  fs::remove(Path("#a.yaml#"));
  Settle();
  Pass(5s);
  EXPECT_THAT(history_, ElementsAre(ElementsAre("a-n/busybox:2")));
}

TEST_F(ManifestSourceTest, SedInPlaceIsOneChange) {
  Write("a.yaml", Pod("a"));
  Start();
  ForgetHistory();
  ASSERT_EQ(std::system(("sed -i 's/busybox:1/busybox:2/' " + Path("a.yaml")).c_str()), 0);
  Settle();
  Pass(5s);
  EXPECT_THAT(history_, ElementsAre(ElementsAre("a-n/busybox:2")));
}

// As kubelet's and our own ConfigMap volumes publish files.
TEST_F(ManifestSourceTest, DataLinkSwapIsOneChange) {
  fs::create_directory(Path("..v1"));
  std::ofstream(Path("..v1/a.yaml")) << Pod("a");
  fs::create_directory_symlink("..v1", Path("..data"));
  fs::create_symlink("..data/a.yaml", Path("a.yaml"));
  Start();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
  ForgetHistory();
  fs::create_directory(Path("..v2"));
  std::ofstream(Path("..v2/a.yaml")) << Pod("a", "busybox:2");
  fs::create_directory_symlink("..v2", Path("..data_tmp"));
  fs::rename(Path("..data_tmp"), Path("..data"));
  fs::remove_all(Path("..v1"));
  Settle();
  Pass(5s);
  EXPECT_THAT(history_, ElementsAre(ElementsAre("a-n/busybox:2")));
}

// LC-08
TEST_F(ManifestSourceTest, HalfWrittenFileIsNotReadBeforeItIsWhole) {
  Write("a.yaml", Pod("a") + "---\n" + Pod("b"));
  Start();
  ForgetHistory();
  {
    std::ofstream out(Path("a.yaml"));  // truncates
    Settle();
    Pass(150ms);
    out << Pod("a", "busybox:2") << std::flush;  // a valid manifest by itself, without pod b
    Settle();
    Pass(500ms);
    out << "---\n" << Pod("b", "busybox:2") << std::flush;
    Settle();
  }
  Settle();
  Pass(5s);
  EXPECT_THAT(history_, ElementsAre(ElementsAre("a-n/busybox:2", "b-n/busybox:2")));
}

TEST_F(ManifestSourceTest, FileThatAWriterKeepsOpenIsReadAtLast) {
  Start();
  std::ofstream out(Path("a.yaml"));
  out << Pod("a") << std::flush;
  Settle();
  Pass(1900ms);
  EXPECT_THAT(Names(), IsEmpty());
  Pass(200ms);
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
}

// LC-08
TEST_F(ManifestSourceTest, BrokenOrEmptiedFileKeepsWhatRunsAndShowsTheError) {
  Write("a.yaml", Pod("a"));
  Start();
  Write("a.yaml", "kind: [");
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
  EXPECT_THAT(Errors(), HasSubstr("a.yaml:1"));
  Write("a.yaml", "");
  Settle();
  Pass(5s);
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
  EXPECT_THAT(Errors(), HasSubstr("delete the file"));
  Write("a.yaml", Pod("a", "busybox:2"));
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:2"));
  EXPECT_EQ(Errors(), "");
}

TEST_F(ManifestSourceTest, RemovedFileRemovesItsObjectsAfterAMoment) {
  Write("a.yaml", Pod("a"));
  Start();
  fs::remove(Path("a.yaml"));
  Settle();
  EXPECT_THAT(Names(), SizeIs(1));
  Pass(250ms);
  EXPECT_THAT(Names(), IsEmpty());
}

// LC-06
TEST_F(ManifestSourceTest, FileDeletedAndPutBackWithinTheSettleTimeIsNoRemoval) {
  Write("a.yaml", Pod("a"));
  Start();
  ForgetHistory();
  fs::remove(Path("a.yaml"));
  Settle();
  Pass(90ms);
  Write("a.yaml", Pod("a", "busybox:2"));
  Settle();
  Pass(5s);
  EXPECT_THAT(history_, ElementsAre(ElementsAre("a-n/busybox:2")));
}

// LC-06. Same size and, on a fast machine, the same time stamp.
TEST_F(ManifestSourceTest, FiftyQuickEditsEndInTheLastContent) {
  Start();
  for (int i = 10; i < 60; ++i) {
    Write("a.yaml", Pod("a", "busybox:" + std::to_string(i)));
    if (i % 7 == 0) Settle();
  }
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:59"));
  Pass(5s);
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:59"));
}

TEST_F(ManifestSourceTest, TouchAndCommentsChangeNothing) {
  Write("a.yaml", Pod("a"));
  Start();
  ForgetHistory();
  fs::last_write_time(Path("a.yaml"), fs::file_time_type::clock::now() + 5s);
  Settle();
  Pass(1s);
  Write("a.yaml", "# why\n" + Pod("a"));
  Settle();
  Pass(30s);
  EXPECT_EQ(changes_, 0);
}

TEST_F(ManifestSourceTest, MissingDirectoryIsNoAnswerUntilItAppears) {
  fs::remove_all(root_ + "/etc/manifests");
  Start();
  EXPECT_FALSE(source_->current().complete);
  EXPECT_THAT(Errors(), HasSubstr("create the directory"));
  fs::create_directory(directory_);
  Settle();
  EXPECT_TRUE(source_->current().complete);
  EXPECT_EQ(Errors(), "");
  Write("a.yaml", Pod("a"));
  Settle();
  EXPECT_THAT(Names(), SizeIs(1));
}

TEST_F(ManifestSourceTest, MissingParentIsLookedForFromTimeToTime) {
  fs::remove_all(root_ + "/etc");
  Start(/*poll=*/0s);
  fs::create_directories(directory_);
  Write("a.yaml", Pod("a"));
  Pass(2s);
  EXPECT_THAT(Names(), SizeIs(1));
  Write("b.yaml", Pod("b"));
  Settle();
  EXPECT_THAT(Names(), SizeIs(2)) << "watched again";
}

TEST_F(ManifestSourceTest, RemovedDirectoryRemovesNothingAndIsWatchedAgainWhenItComesBack) {
  Write("a.yaml", Pod("a"));
  Start();
  fs::remove_all(directory_);
  Settle();
  Pass(30s);
  EXPECT_THAT(Names(), SizeIs(1));
  EXPECT_THAT(Errors(), HasSubstr("what runs is kept"));
  fs::create_directory(directory_);
  Write("a.yaml", Pod("a", "busybox:2"));
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:2"));
  EXPECT_EQ(Errors(), "");
  Write("b.yaml", Pod("b"));
  Settle();
  EXPECT_THAT(Names(), SizeIs(2));
}

TEST_F(ManifestSourceTest, DirectoryReplacedByRenameIsFollowed) {
  Write("a.yaml", Pod("a"));
  Start();
  fs::create_directory(root_ + "/etc/new");
  std::ofstream(root_ + "/etc/new/a.yaml") << Pod("a", "busybox:2");
  fs::rename(directory_, root_ + "/etc/old");
  fs::rename(root_ + "/etc/new", directory_);
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:2"));
  Write("a.yaml", Pod("a", "busybox:3"));
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:3"));
}

// Root reads everything; so while this lives, the process of a root user acts as another one, to whom `tree` then
// belongs.
class WithoutRoot {
 public:
  explicit WithoutRoot(const std::string& tree) {
    if (!root_) return;
    Give(tree);
    for (const auto& entry : fs::recursive_directory_iterator(tree)) Give(entry.path());
    if (::seteuid(kNobody) != 0) throw std::runtime_error("seteuid");
  }
  ~WithoutRoot() {
    if (root_ && ::seteuid(0) != 0) std::abort();
  }
  WithoutRoot(const WithoutRoot&) = delete;
  WithoutRoot& operator=(const WithoutRoot&) = delete;

 private:
  static constexpr uid_t kNobody = 65534;
  static void Give(const std::string& path) {
    if (::chown(path.c_str(), kNobody, kNobody) != 0) throw std::runtime_error("chown " + path);
  }
  const bool root_ = ::geteuid() == 0;
};

TEST_F(ManifestSourceTest, UnreadableFileAndDirectoryKeepWhatRuns) {
  const WithoutRoot other(root_);
  Write("a.yaml", Pod("a"));
  Start();
  fs::permissions(Path("a.yaml"), fs::perms::none);
  Settle();
  Pass(1s);
  EXPECT_THAT(Errors(), HasSubstr("Permission denied"));
  fs::permissions(directory_, fs::perms::none);
  Pass(30s);
  EXPECT_THAT(Names(), SizeIs(1));
  EXPECT_THAT(Errors(), HasSubstr("can't be listed: Permission denied"));
}

TEST_F(ManifestSourceTest, DanglingLinkAndHugeFileKeepWhatRan) {
  Write("a.yaml", Pod("a"));
  Write("b.yaml", Pod("b"));
  Start();
  fs::remove(Path("a.yaml"));
  fs::create_symlink("nowhere", Path("a.yaml"));
  Write("b.yaml", std::string((3 << 20) + 1, '#'));
  Settle();
  Pass(5s);
  EXPECT_THAT(Names(), SizeIs(2));
  EXPECT_THAT(Errors(), HasSubstr("a.yaml: can't be read: No such file"));
  EXPECT_THAT(Errors(), HasSubstr("b.yaml: larger than 3 MiB"));
}

TEST_F(ManifestSourceTest, PollFindsWhatNoEventAnnounced) {
  std::ofstream(root_ + "/target.yaml") << Pod("a");
  fs::create_symlink(root_ + "/target.yaml", Path("a.yaml"));
  Start();
  std::ofstream(root_ + "/target.yaml") << Pod("a", "busybox:22");  // behind the link, in a folder that is not watched
  Settle();
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:1"));
  Pass(20s);
  EXPECT_THAT(Names(), ElementsAre("a-n/busybox:22"));
}

TEST_F(ManifestSourceTest, IdleSourceOnlyPolls) {
  Write("a.yaml", Pod("a"));
  Start();
  EXPECT_EQ(loop_.timeline().next_alarm(), loop_.timeline().mono() + 20s);
  source_->set_poll_interval(0s);
  Settle();
  EXPECT_FALSE(loop_.timeline().next_alarm()) << "polling is off, and inotify needs no timer";
}

TEST_F(ManifestSourceTest, StopsWhenCancelled) {
  Start();
  loop_.Cancel(running_);
  EXPECT_TRUE(running_->done());
  EXPECT_TRUE(running_->threw());
}

}  // namespace
}  // namespace daemonsetd::manifests
