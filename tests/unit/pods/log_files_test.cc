// Rotation on a real directory, with a writer that behaves as a runtime: no line is lost and none doubled, wherever the
// agent is killed.
#include "agent/pods/logs/log_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "agent/async/descriptor.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

constexpr std::int64_t kFull = 400;
const std::atomic<bool> kGoOn = false;

std::string Unzipped(const std::string& path) {
  std::string text;
  const gzFile file = gzopen(path.c_str(), "rb");  // reads plain files too
  char block[4096];
  for (int got = gzread(file, block, sizeof block); got > 0; got = gzread(file, block, sizeof block)) {
    text.append(block, static_cast<std::size_t>(got));
  }
  gzclose(file);
  return text;
}

class LogFilesTest : public TemporaryTree {
 protected:
  LogFilesTest() {
    fs::create_directories(directory_);
    Reopen();
  }

  // The runtime: writes to what it opened last, whatever its name is now.
  void Reopen() {
    live_ = async::Descriptor(::open(Log("0.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    ASSERT_TRUE(live_);
  }
  void WriteLines(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string line = fmt::format("line {:06}\n", lines_++);
      ASSERT_EQ(::write(live_.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    }
  }

  std::string Log(const std::string& name) const { return directory_ + "/" + name; }
  std::vector<decide::LogStep> Plan(bool compressing) {
    auto files = ListLogFiles(directory_);
    EXPECT_TRUE(files);
    decide::LogPlan plan = decide::PlanLogRotation({.files = *files, .running = 0, .recorded = {0}, .compressing = ""},
                                                   {.max_size = kFull, .max_files = 1000}, now_);
    now_ += std::chrono::milliseconds(300);
    if (compressing) {
      for (const std::string& name : plan.compress) {
        for (decide::LogStep& step : decide::CompressionSteps(name)) plan.steps.push_back(std::move(step));
      }
    }
    return plan.steps;
  }
  void Do(const decide::LogStep& step) {
    if (std::holds_alternative<decide::ReopenLog>(step)) return Reopen();
    const auto done = CarryOut(directory_, step, kGoOn);
    ASSERT_TRUE(done) << done.error().message();
    ASSERT_EQ(*done, StepOutcome::kDone) << decide::ToString(step);
  }
  // Every line that is on the disk, in the order of the files' names.
  std::string Everything() {
    std::vector<decide::LogFileName> names;
    const auto files = ListLogFiles(directory_);
    for (const decide::LogFile& file : *files) names.push_back(decide::ParseLogFileName(file.name).value());
    std::sort(names.begin(), names.end());
    std::string text;
    for (const auto& name : names) text += Unzipped(Log(decide::ToString(name)));
    return text;
  }
  std::string Written() const {
    std::string text;
    for (int i = 0; i < lines_; ++i) text += fmt::format("line {:06}\n", i);
    return text;
  }

  const std::string directory_ = Path("logs");
  async::Descriptor live_;
  int lines_ = 0;
  WallTime now_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 27)};
};

// Each step is the last one once, from every state that rotations and compressions come through; the steps are counted,
// not sampled. Then another agent starts and goes on.
TEST_F(LogFilesTest, AnAgentThatIsKilledAfterAnyStepLosesAndDoublesNoLine) {
  int kills = 0;
  for (int round = 0; round < 4; ++round) {
    WriteLines(50);
    for (std::size_t last = 0;; ++last) {
      const std::vector<decide::LogStep> steps = Plan(true);
      for (std::size_t i = 0; i < std::min(last, steps.size()); ++i) {
        Do(steps[i]);
        WriteLines(3);
      }
      ++kills;
      if (last >= steps.size()) break;
      // Killed in the middle of the step, where it has one.
      if (const auto* compress = std::get_if<decide::CompressLog>(&steps[last])) {
        Do(*compress);
        fs::resize_file(Log(compress->to), fs::file_size(Log(compress->to)) / 2);
      }
      WriteLines(40);
    }
  }
  for (std::vector<decide::LogStep> steps = Plan(true); !steps.empty(); steps = Plan(true)) {
    for (const decide::LogStep& step : steps) Do(step);
  }
  EXPECT_GT(kills, 20);
  EXPECT_EQ(Everything(), Written());
  const auto files = ListLogFiles(directory_);
  std::size_t compressed = 0;
  for (const auto& file : *files) compressed += file.name.ends_with(".gz") ? 1U : 0U;
  EXPECT_EQ(compressed + 2, files->size()) << "all but the live one and the newest that was set aside";
}

// The states that the test above comes through, each by its name and each with what the next start does.
TEST_F(LogFilesTest, TheNextStartFinishesEachStep) {
  WriteLines(50);
  std::vector<decide::LogStep> steps = Plan(true);
  ASSERT_EQ(steps.size(), 2U);
  Do(steps[0]);
  EXPECT_FALSE(Exists(Log("0.log")));
  WriteLines(1);  // goes to the renamed file
  steps = Plan(true);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(decide::ToString(steps[0]), "reopen 0.log");
  Do(steps[0]);
  WriteLines(50);
  for (const decide::LogStep& step : Plan(false)) Do(step);
  steps = Plan(true);
  ASSERT_EQ(steps.size(), 3U);
  Do(steps[0]);  // the compressed file is complete, but has no name yet
  EXPECT_EQ(decide::ToString(Plan(true)[0]), "remove 0.log.20261127-000000.tmp");
  Do(steps[1]);  // both forms are there
  steps = Plan(true);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(decide::ToString(steps[0]), "remove 0.log.20261127-000000");
  Do(steps[0]);
  EXPECT_EQ(Everything(), Written());
}

TEST_F(LogFilesTest, ACompressedFileKeepsTimeAndMode) {
  WriteLines(50);
  const auto steps = Plan(true);
  Do(steps[0]);
  Reopen();
  const std::string name = std::get<decide::RenameLog>(steps[0]).to;
  struct stat before{};
  struct stat after{};
  ASSERT_EQ(::stat(Log(name).c_str(), &before), 0);
  for (const decide::LogStep& step : decide::CompressionSteps(name)) Do(step);
  ASSERT_EQ(::stat(Log(name + ".gz").c_str(), &after), 0);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_LT(after.st_size, before.st_size);
}

// The runtime writes its last lines to the old file after it has answered.
TEST_F(LogFilesTest, AFileThatIsStillWrittenIsNotCompressed) {
  WriteLines(50);
  const auto steps = Plan(true);
  Do(steps[0]);
  const decide::CompressLog compress{.from = std::get<decide::RenameLog>(steps[0]).to, .to = "x.tmp"};
  EXPECT_EQ(CarryOut(directory_, compress, kGoOn).value(), StepOutcome::kStillWritten);
  EXPECT_FALSE(Exists(Log("x.tmp")));
  Reopen();
  EXPECT_EQ(CarryOut(directory_, compress, kGoOn).value(), StepOutcome::kDone);
}

TEST_F(LogFilesTest, ACompressionThatIsStoppedLeavesNothing) {
  WriteLines(50);
  live_ = async::Descriptor();
  const std::atomic<bool> stop = true;
  EXPECT_EQ(CarryOut(directory_, decide::CompressLog{.from = "0.log", .to = "x.tmp"}, stop).value(),
            StepOutcome::kStopped);
  EXPECT_FALSE(Exists(Log("x.tmp")));
}

TEST_F(LogFilesTest, ARenameNeverReplacesAFile) {
  Write(Log("1.log"), "another");
  const auto renamed = CarryOut(directory_, decide::RenameLog{.from = "0.log", .to = "1.log"}, kGoOn);
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error().kind(), ErrorKind::kExists);
  EXPECT_EQ(Read(Log("1.log")), "another");
}

TEST_F(LogFilesTest, AFullDiskLeavesThePlainFileAlone) {
  DAEMONSETD_NEEDS_ROOT();
  live_ = async::Descriptor();
  ASSERT_EQ(::mount("small", directory_.c_str(), "tmpfs", 0, "size=256k"), 0);
  std::string text;
  for (std::uint32_t i = 0; i < 200'000 / 4; ++i) text += fmt::format("{:04x}", (i * 2654435761U) >> 16);
  Write(Log("0.log.20261127-101500"), text);
  const auto full = CarryOut(directory_, decide::CompressLog{.from = "0.log.20261127-101500", .to = "x.tmp"}, kGoOn);
  const auto left = ListLogFiles(directory_);
  ASSERT_EQ(::umount(directory_.c_str()), 0);
  ASSERT_TRUE(full) << full.error().message();
  EXPECT_EQ(*full, StepOutcome::kDiskFull);
  ASSERT_EQ(left->size(), 1U);
  EXPECT_EQ(left->front().size, static_cast<std::int64_t>(text.size()));
}

TEST_F(LogFilesTest, OfAnAttemptAreRemovedTogether) {
  for (const char* name : {"1.log", "1.log.20261127-101500", "1.log.20261127-101400.gz", "1.log.20261127-101500.tmp",
                           "1.log.backup", "11.log", "2.log.20261127-101400.gz"}) {
    Write(Log(name), "x");
  }
  ASSERT_TRUE(RemoveLogFilesOf(Log("1.log")));
  std::vector<std::string> left;
  const auto files = ListLogFiles(directory_);
  for (const auto& file : *files) left.push_back(file.name);
  std::sort(left.begin(), left.end());
  EXPECT_THAT(left, ElementsAre("0.log", "1.log.backup", "11.log", "2.log.20261127-101400.gz"));
  ASSERT_TRUE(RemoveLogFilesOf(Path("absent/1.log")));
}

}  // namespace
}  // namespace daemonsetd::pods
