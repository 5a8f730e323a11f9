#include "agent/pods/logs/log_rotator.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "agent/async/descriptor.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::Le;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

constexpr std::int64_t kFull = 1000;

bool IsOpenHere(const std::string& path) {
  const std::filesystem::directory_iterator descriptors("/proc/self/fd");
  return std::any_of(begin(descriptors), end(descriptors), [&path](const auto& entry) {
    std::error_code closed_meanwhile;
    return std::filesystem::read_symlink(entry.path(), closed_meanwhile) == path;
  });
}

class LogRotatorTest : public PodEngineTest {
 protected:
  LogRotatorTest() { runtime.SetWritesLogs(true); }
  ~LogRotatorTest() override { StopRotator(); }

  void StartRotator(int workers = 0) {
    rotator_.emplace(
        engine->services,
        LogRotationSettings{.limits = {.max_size = kFull, .max_files = 3}, .interval = seconds(10), .workers = workers},
        [this](bool succeeded) { ++(succeeded ? rotated_ : failed_); });
    run_ = loop.Start(rotator_->Run());
  }
  void StopRotator() {
    if (!run_) return;
    loop.Cancel(run_);
    loop.RunUntil(run_->ended);
    run_.reset();
    rotator_.reset();
  }
  // A pod that runs, and a rotator that has looked at it.
  void RunOne(int workers = 0) {
    daemon_sets = {MakeDaemonSet("a")};
    Apply();
    loop.Advance(seconds(5));
    ASSERT_THAT(RunningContainers(), SizeIs(1));
    StartRotator(workers);
    loop.Advance(seconds(2));
  }

  std::string Log() { return runtime.Containers().at(0).log_path(); }
  std::string Directory() { return std::filesystem::path(Log()).parent_path().string(); }
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(Directory())) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  void Grow(std::size_t bytes) { std::ofstream(Log(), std::ios::app) << std::string(bytes - 1, 'x') << '\n'; }

  std::optional<LogRotator> rotator_;
  std::shared_ptr<testing::Started<void>> run_;
  int rotated_ = 0;
  int failed_ = 0;
};

TEST_F(LogRotatorTest, KeepsSizeAndCount) {
  RunOne();
  for (int i = 0; i < 6; ++i) {
    Grow(kFull + 1);
    loop.Advance(seconds(11));
  }
  EXPECT_EQ(rotated_, 6);
  EXPECT_EQ(failed_, 0);
  EXPECT_THAT(Files(), ElementsAre("0.log", MatchesRegex("0\\.log\\.[0-9]+-[0-9]+\\.gz"),
                                   MatchesRegex("0\\.log\\.[0-9]+-[0-9]+")));
  EXPECT_EQ(std::filesystem::file_size(Log()), 0U);
}

TEST_F(LogRotatorTest, LeavesQuietLogsAlone) {
  RunOne();
  Grow(kFull / 2);
  loop.Advance(minutes(5));
  EXPECT_EQ(rotated_, 0);
  EXPECT_THAT(Files(), ElementsAre("0.log"));
}

// LG-03
TEST_F(LogRotatorTest, LooksMoreOftenAtAFileThatGrowsFast) {
  RunOne();
  // 500 bytes a second fill a file in two seconds, not in ten.
  for (int i = 0; i < 300; ++i) {
    Grow(50);
    loop.Advance(milliseconds(100));
  }
  EXPECT_GE(rotated_, 10);
  for (const std::string& name : Files()) {
    if (name.ends_with(".gz")) continue;
    EXPECT_LE(std::filesystem::file_size(Directory() + "/" + name), 2 * kFull) << name;
  }
}

TEST_F(LogRotatorTest, GivesTheNameBackWhenTheRuntimeCannotOpenTheFileAnew) {
  RunOne();
  Grow(kFull + 1);
  runtime.Inject("ReopenContainerLog", testing::Fault::Fail(Error(ErrorKind::kRetry, "no space left on device")));
  loop.Advance(seconds(11));
  EXPECT_EQ(rotated_, 0);
  EXPECT_EQ(failed_, 1);
  EXPECT_THAT(Files(), ElementsAre("0.log"));
  loop.Advance(seconds(11));
  EXPECT_EQ(rotated_, 1);
  EXPECT_THAT(Files(), SizeIs(2));
}

// The answer was lost, or it failed too late: the new file is there and stays.
TEST_F(LogRotatorTest, NeverPutsTheOldFileOverTheNewOne) {
  RunOne();
  Grow(kFull + 1);
  runtime.Inject("ReopenContainerLog", testing::Fault::FailAfterEffect(Error(ErrorKind::kTimeout, "too late")));
  loop.Advance(seconds(11));
  EXPECT_EQ(failed_, 1);
  EXPECT_THAT(Files(), SizeIs(2));
  EXPECT_EQ(std::filesystem::file_size(Log()), 0U);
}

TEST_F(LogRotatorTest, OpensAnewWhatAnAgentLeftThatWasKilled) {
  RunOne();
  StopRotator();
  Grow(kFull + 1);
  std::filesystem::rename(Log(), Log() + ".20260101-000000");
  Write(Log() + ".20250101-000000.tmp", "half");
  StartRotator();
  loop.Advance(seconds(1));
  EXPECT_THAT(Files(), ElementsAre("0.log", "0.log.20260101-000000"));
  EXPECT_EQ(failed_, 0);
}

TEST_F(LogRotatorTest, OneSlowRuntimeCallHoldsUpNoOtherContainer) {
  daemon_sets = {MakeDaemonSet("a"), MakeDaemonSet("b")};
  Apply();
  loop.Advance(seconds(5));
  ASSERT_THAT(RunningContainers(), SizeIs(2));
  StartRotator();
  loop.Advance(seconds(2));
  runtime.Inject("ReopenContainerLog", testing::Fault::Delay(minutes(1)));
  for (const auto& container : runtime.Containers()) {
    std::ofstream(container.log_path(), std::ios::app) << std::string(kFull + 1, 'x');
  }
  loop.Advance(seconds(11));
  EXPECT_EQ(rotated_, 1);
  loop.Advance(minutes(1));
  EXPECT_EQ(rotated_, 2);
}

TEST_F(LogRotatorTest, FollowsAChangeOfTheLimits) {
  RunOne();
  Grow(kFull / 2);
  loop.Advance(seconds(11));
  EXPECT_EQ(rotated_, 0);
  rotator_->Change({.limits = {.max_size = kFull / 4, .max_files = 3}, .interval = seconds(10), .workers = 0});
  loop.Advance(seconds(1));
  EXPECT_EQ(rotated_, 1);
}

// LG-03: here the thread that compresses hangs in a file system.
TEST_F(LogRotatorTest, ACompressionThatHangsHoldsUpNoRotation) {
  RunOne(1);
  Grow(kFull + 1);
  loop.Advance(seconds(11));
  ASSERT_THAT(Files(), SizeIs(2));
  const std::string set_aside = Directory() + "/" + Files().at(1);
  const std::string pipe = set_aside + ".tmp";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  Grow(kFull + 1);
  loop.Advance(seconds(11));
  while (!IsOpenHere(set_aside)) std::this_thread::sleep_for(milliseconds(1));  // the thread is about to hang
  for (int i = 0; i < 4; ++i) {
    Grow(kFull + 1);
    loop.Advance(seconds(11));
  }
  EXPECT_EQ(rotated_, 6);
  EXPECT_THAT(Files(), SizeIs(Le(4))) << "and the pipe";
  const async::Descriptor reader(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  StopRotator();
}

TEST_F(LogRotatorTest, AFullDiskCostsTheOldestLinesAndNoOthers) {
  DAEMONSETD_NEEDS_ROOT();
  RunOne();
  const std::string directory = Directory();
  ASSERT_EQ(::mount("small", directory.c_str(), "tmpfs", 0, "size=64k"), 0);
  Write(directory + "/0.log", "last line\n");
  Write(directory + "/0.log.20260101-000002", std::string(kFull, 'n'));
  Write(directory + "/0.log.20260101-000001", std::string(kFull, 'm'));
  Write(directory + "/0.log.20260101-000000.gz", std::string(kFull, 'o'));
  Write(directory + "/0.log.20250101-000000.gz", std::string(kFull, 'o'));
  std::ofstream(directory + "/somebody's") << std::string(64 * 1024, 'x');
  rotator_->Change({.limits = {.max_size = kFull, .max_files = 10}, .interval = seconds(10), .workers = 0});
  loop.Advance(seconds(1));
  EXPECT_EQ(failed_, 1);
  EXPECT_THAT(Files(), ElementsAre("0.log", "0.log.20260101-000000.gz", "0.log.20260101-000001",
                                   "0.log.20260101-000002", "somebody's"));
  EXPECT_EQ(Read(directory + "/0.log.20260101-000001"), std::string(kFull, 'm'));
  loop.Advance(seconds(30));
  EXPECT_THAT(Files(), ElementsAre("0.log", "0.log.20260101-000000.gz", "0.log.20260101-000001.gz",
                                   "0.log.20260101-000002", "somebody's"))
      << "the room was enough";
  StopRotator();
  ASSERT_EQ(::umount(directory.c_str()), 0);
}

// LG-04
TEST_F(LogRotatorTest, ACrashLoopStaysWithinTheBound) {
  testing::Behaviour behaviour;
  behaviour.output = {std::string(kFull + 500, 'x')};
  behaviour.exits_after = seconds(3);
  behaviour.exit_code = 1;
  runtime.SetBehaviour("main", behaviour);
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  StartRotator();
  loop.Advance(minutes(30));
  EXPECT_GE(rotated_, 3);
  EXPECT_THAT(Files(), SizeIs(Le(3)));
}

}  // namespace
}  // namespace daemonsetd::pods
