#include "agent/decide/log_rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace daemonsetd::decide {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const WallTime kNow = WallTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 27)) + std::chrono::hours(10) +
                      std::chrono::minutes(15) + seconds(30) + milliseconds(250);
constexpr LogLimits kLimits{.max_size = 100, .max_files = 4};

LogDirectory Running(std::vector<LogFile> files, int attempt = 0) {
  return {.files = std::move(files), .running = attempt, .recorded = {attempt}, .compressing = ""};
}

std::vector<std::string> Steps(const LogPlan& plan) {
  std::vector<std::string> texts;
  for (const LogStep& step : plan.steps) texts.push_back(ToString(step));
  return texts;
}
std::vector<std::string> Steps(const LogDirectory& directory, const LogLimits& limits = kLimits) {
  return Steps(PlanLogRotation(directory, limits, kNow));
}

TEST(LogFileName, IsReadAsItIsWritten) {
  for (const char* name :
       {"0.log", "12.log", "3.log.20261127-101530", "3.log.20261127-101530.gz", "3.log.20261127-101530.tmp",
        "3.log.20261127-101530.250", "3.log.20261127-101530.250.gz", "3.log.20240229-235959.001.tmp"}) {
    const auto parsed = ParseLogFileName(name);
    ASSERT_TRUE(parsed) << name;
    EXPECT_EQ(ToString(*parsed), name);
  }
}

TEST(LogFileName, OfOthersIsNotOurs) {
  for (const char* name : {"",
                           "log",
                           ".log",
                           "a.log",
                           "-1.log",
                           "00.log",
                           "01.log",
                           "1.logs",
                           "1.log.",
                           "1.log.1",
                           "1.log.gz",
                           "1.log.20261127",
                           "1.log.20261327-101530",
                           "1.log.20260230-101530",
                           "1.log.20261127-241530",
                           "1.log.20261127-101530.",
                           "1.log.20261127-101530.000",
                           "1.log.20261127-101530.25",
                           "1.log.20261127-101530.250x",
                           "1.log.20261127-101530.zst",
                           "1.log.20261127-101530.gz.tmp",
                           "1.log.20261127-101530.gz~",
                           "2147483647.log",
                           "99999999999999999999.log",
                           "1.log.2026112a-101530",
                           "1.log.20261127-101530.gz.1"}) {
    EXPECT_FALSE(ParseLogFileName(name)) << name;
  }
}

TEST(LogFileName, SortsByAttemptThenTimeThenLive) {
  const char* const names[] = {"1.log.20261127-101530",
                               "1.log.20261127-101530.001.gz",
                               "1.log.20261127-101531.gz",
                               "1.log",
                               "2.log.20200101-000000",
                               "2.log",
                               "10.log"};
  for (std::size_t i = 0; i + 1 < std::size(names); ++i) {
    EXPECT_LT(*ParseLogFileName(names[i]), *ParseLogFileName(names[i + 1])) << names[i];
  }
}

TEST(LogRotation, DoesNothingToAFileThatIsNotFull) { EXPECT_THAT(Steps(Running({{"0.log", 100}})), IsEmpty()); }

TEST(LogRotation, SetsAsideAFullFileAndLetsTheRuntimeOpenItAnew) {
  EXPECT_THAT(Steps(Running({{"0.log", 101}})), ElementsAre("rename 0.log to 0.log.20261127-101530", "reopen 0.log"));
}

// The order of names is the order of lines: also within a second, and when the clock was set back.
TEST(LogRotation, NeverTakesANameThatIsNotTheNewest) {
  EXPECT_THAT(Steps(Running({{"0.log", 101}, {"0.log.20261127-101530.gz", 9}})),
              ElementsAre("rename 0.log to 0.log.20261127-101530.250", "reopen 0.log"));
  EXPECT_THAT(Steps(Running({{"0.log", 101}, {"0.log.20261127-101530.250", 9}})),
              ElementsAre("rename 0.log to 0.log.20261127-101530.251", "reopen 0.log"));
  EXPECT_THAT(Steps(Running({{"0.log", 101}, {"0.log.20280101-000000", 9}})),
              ElementsAre("rename 0.log to 0.log.20280101-000000.001", "reopen 0.log"));
}

TEST(LogRotation, RemovesTheOldestBeyondTheCountAndFirst) {
  EXPECT_THAT(Steps(Running({{"0.log", 101},
                             {"0.log.20261127-101010.gz", 9},
                             {"0.log.20261127-101020.gz", 9},
                             {"0.log.20261127-101030", 101}})),
              ElementsAre("remove 0.log.20261127-101010.gz", "rename 0.log to 0.log.20261127-101530", "reopen 0.log"));
  EXPECT_THAT(Steps(Running({{"0.log", 1},
                             {"0.log.20261127-101010.gz", 9},
                             {"0.log.20261127-101020", 101},
                             {"0.log.20261127-101030", 101}}),
                    {.max_size = 100, .max_files = 2}),
              ElementsAre("remove 0.log.20261127-101010.gz", "remove 0.log.20261127-101020"));
}

TEST(LogRotation, CompressesAllButTheNewestThatWasSetAside) {
  const LogPlan plan = PlanLogRotation(Running({{"0.log", 5},
                                                {"0.log.20261127-101010.gz", 9},
                                                {"0.log.20261127-101020", 101},
                                                {"0.log.20261127-101030", 101}}),
                                       kLimits, kNow);
  EXPECT_THAT(plan.compress, ElementsAre("0.log.20261127-101020"));
  EXPECT_THAT(
      Steps({.steps = CompressionSteps("0.log.20261127-101020"), .compress = {}}),
      ElementsAre("compress 0.log.20261127-101020 to 0.log.20261127-101020.tmp",
                  "rename 0.log.20261127-101020.tmp to 0.log.20261127-101020.gz", "remove 0.log.20261127-101020"));
}

TEST(LogRotation, CompressesWhatIsBeingSetAsideOnlyLater) {
  const LogPlan plan = PlanLogRotation(Running({{"0.log", 101}, {"0.log.20261127-101020", 101}}), kLimits, kNow);
  EXPECT_THAT(plan.compress, ElementsAre("0.log.20261127-101020"));
}

TEST(LogRotation, FinishesWhatACrashInterrupted) {
  EXPECT_THAT(Steps(Running({{"0.log", 1},
                             {"0.log.20261127-101010", 101},
                             {"0.log.20261127-101010.gz", 9},
                             {"0.log.20261127-101020", 101},
                             {"0.log.20261127-101020.tmp", 3},
                             {"0.log.20261127-101030", 101}})),
              ElementsAre("remove 0.log.20261127-101020.tmp", "remove 0.log.20261127-101010"));
  EXPECT_THAT(Steps(Running({{"0.log.20261127-101030", 101}})), ElementsAre("reopen 0.log"));
  EXPECT_THAT(Steps(Running({})), ElementsAre("reopen 0.log"));
}

TEST(LogRotation, LeavesAloneWhatIsBeingCompressed) {
  LogDirectory directory = Running(
      {{"0.log", 1}, {"0.log.20261127-101010", 101}, {"0.log.20261127-101010.tmp", 3}, {"0.log.20261127-101020", 101}});
  directory.compressing = "0.log.20261127-101010";
  const LogPlan plan = PlanLogRotation(directory, kLimits, kNow);
  EXPECT_THAT(Steps(plan), IsEmpty());
  EXPECT_THAT(plan.compress, IsEmpty());
}

// It died between the rename and the reopening: links and the previous log need the file by its name.
TEST(LogRotation, GivesAContainerThatEndedItsLogBack) {
  LogDirectory directory{.files = {{"3.log.20261127-101010.gz", 9}, {"3.log.20261127-101020", 50}},
                         .running = std::nullopt,
                         .recorded = {3},
                         .compressing = ""};
  const LogPlan plan = PlanLogRotation(directory, kLimits, kNow);
  EXPECT_THAT(Steps(plan), ElementsAre("rename 3.log.20261127-101020 to 3.log"));
  EXPECT_THAT(plan.compress, IsEmpty());
  directory.files.pop_back();
  EXPECT_THAT(Steps(directory), IsEmpty());
}

TEST(LogRotation, NeverTouchesForeignFiles) {
  EXPECT_THAT(Steps(Running({{"0.log", 1},
                             {"0.log.1", 500},
                             {"0.log.old.gz", 500},
                             {"notes.txt", 500},
                             {"0.log.20261127-101010.zst", 500},
                             {"core.tmp", 500}}),
                    {.max_size = 100, .max_files = 2}),
              IsEmpty());
}

// LG-04
TEST(LogRotation, AllAttemptsShareOneBound) {
  const LogDirectory directory{.files = {{"3.log", 120},
                                         {"3.log.20261127-100000", 120},
                                         {"4.log", 110},
                                         {"4.log.20261127-101000", 120},
                                         {"5.log", 101},
                                         {"5.log.20261127-101500", 120}},
                               .running = 5,
                               .recorded = {4, 5},
                               .compressing = ""};
  // Of attempt 3 there is no record any more; the live file of attempt 4 is what --previous shows.
  EXPECT_THAT(Steps(directory),
              ElementsAre("remove 3.log.20261127-100000", "remove 3.log", "remove 4.log.20261127-101000",
                          "rename 5.log to 5.log.20261127-101530", "reopen 5.log"));
  EXPECT_THAT(Steps(directory, {.max_size = 100, .max_files = 2}),
              ElementsAre("remove 3.log.20261127-100000", "remove 3.log", "remove 4.log.20261127-101000",
                          "remove 5.log.20261127-101500", "rename 5.log to 5.log.20261127-101530", "reopen 5.log"));
}

TEST(LogRotation, LeavesAttemptsAloneThatTheRecordsDoNotKnowYet) {
  const LogDirectory directory{.files = {{"4.log", 5}, {"4.log.20261127-101000", 9}, {"5.log", 500}},
                               .running = 4,
                               .recorded = {4},
                               .compressing = ""};
  EXPECT_THAT(Steps(directory, {.max_size = 100, .max_files = 2}), IsEmpty());
  EXPECT_THAT(Steps({.files = {{"0.log.20261127-101000.tmp", 500}}, .running = {}, .recorded = {}, .compressing = ""}),
              IsEmpty());
}

TEST(LogRotation, FreesTheOldestForACompressionWhereTheDiskIsFull) {
  const std::vector<LogFile> files = {
      {"1.log", 1}, {"1.log.20261127-101010.gz", 9}, {"1.log.20261127-101020", 9}, {"0.log", 9}, {"1.log.1", 9}};
  EXPECT_EQ(FreeForCompression(files, "1.log.20261127-101020"), "1.log.20261127-101010.gz");
  EXPECT_EQ(FreeForCompression(files, "1.log.20261127-101010"), std::nullopt) << "the live log of attempt 0 stays";
}

TEST(LogRotation, LooksAgainWhenTheFileWouldBeFull) {
  const auto next = [](std::int64_t before, std::int64_t size, Nanoseconds elapsed) {
    return NextLogLook(before, size, elapsed, 1000, milliseconds(100), seconds(10));
  };
  EXPECT_EQ(next(0, 500, seconds(1)), seconds(1));
  EXPECT_EQ(next(0, 900, seconds(9)), seconds(1));
  EXPECT_EQ(next(0, 990, seconds(1)), milliseconds(100)) << "not sooner";
  EXPECT_EQ(next(0, 1, seconds(10)), seconds(10)) << "not later";
  EXPECT_EQ(next(500, 500, seconds(1)), seconds(10)) << "idle";
  EXPECT_EQ(next(500, 10, seconds(1)), seconds(10)) << "truncated";
  EXPECT_EQ(next(0, 2000, seconds(1)), milliseconds(100));
  EXPECT_EQ(next(-500, 0, seconds(1)), seconds(2)) << "just set aside";
}

// Whatever is there, in whatever state: doing what is planned leads to a state where nothing is left to do, within the
// bound, and no line is lost but the oldest.
TEST(LogRotation, ComesToRestFromEveryState) {
  const std::vector<std::string> possible = {"1.log",
                                             "1.log.20261127-101010",
                                             "1.log.20261127-101010.gz",
                                             "2.log.20261127-101020",
                                             "2.log.20261127-101020.tmp",
                                             "2.log.20261127-101030",
                                             "2.log.20261127-101030.gz",
                                             "2.log.20261127-101040",
                                             "2.log"};
  for (unsigned mask = 0; mask < 1U << possible.size(); ++mask) {
    for (const bool runs : {false, true}) {
      std::map<std::string, std::int64_t> files;
      for (std::size_t i = 0; i < possible.size(); ++i) {
        if (mask >> i & 1U) files[possible[i]] = 150;
      }
      bool rest = false;
      for (int round = 0; round < 12 && !rest; ++round) {
        LogDirectory directory{.files = {}, .running = {}, .recorded = {1, 2}, .compressing = ""};
        if (runs) directory.running = 2;
        for (const auto& [name, size] : files) directory.files.push_back({name, size});
        LogPlan plan = PlanLogRotation(directory, kLimits, kNow + seconds(round));
        for (const std::string& name : plan.compress) {
          for (LogStep& step : CompressionSteps(name)) plan.steps.push_back(std::move(step));
        }
        rest = plan.steps.empty();
        for (const LogStep& step : plan.steps) {
          if (const auto* remove = std::get_if<RemoveLog>(&step)) {
            ASSERT_EQ(files.erase(remove->name), 1U) << ToString(step) << " of state " << mask;
          } else if (const auto* rename = std::get_if<RenameLog>(&step)) {
            ASSERT_TRUE(files.contains(rename->from) && !files.contains(rename->to)) << ToString(step) << " " << mask;
            files[rename->to] = files[rename->from];
            files.erase(rename->from);
          } else if (const auto* reopen = std::get_if<ReopenLog>(&step)) {
            ASSERT_FALSE(files.contains(reopen->name)) << mask;
            files[reopen->name] = 0;
          } else if (const auto* compress = std::get_if<CompressLog>(&step)) {
            ASSERT_TRUE(files.contains(compress->from)) << mask;
            files[compress->to] = 15;
          }
        }
      }
      EXPECT_TRUE(rest) << "state " << mask << (runs ? " running" : "");
      EXPECT_LE(files.size(), 4U) << "state " << mask;
      if (runs) EXPECT_TRUE(files.contains("2.log")) << "state " << mask;
    }
  }
}

}  // namespace
}  // namespace daemonsetd::decide
