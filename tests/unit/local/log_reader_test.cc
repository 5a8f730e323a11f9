#include "agent/local/log_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "agent/local/rfc3339.h"

namespace daemonsetd::local {
namespace {

namespace fs = std::filesystem;

std::string Record(const std::string& text, const char* tag = "F", const char* stream = "stdout", int second = 0) {
  return fmt::format("2026-11-25T00:18:{:02}.5Z {} {} {}\n", second, stream, tag, text);
}

class LogReaderTest : public ::testing::Test {
 protected:
  LogReaderTest() {
    std::string pattern = (fs::temp_directory_path() / "logs-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    path_ = (directory_ / "0.log").string();
  }
  ~LogReaderTest() override { fs::remove_all(directory_); }

  void Append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  void Rotate(const std::string& suffix) { fs::rename(path_, path_ + "." + suffix); }

  // Reads until the end is reached for good; at most a few idle passes.
  static std::string Drain(LogReader& reader) {
    std::string text;
    for (int pass = 0; pass < 50; ++pass) {
      auto chunk = reader.Read();
      EXPECT_TRUE(chunk.has_value());
      if (!chunk) break;
      text += chunk->text;
      if (chunk->at_end && chunk->settled) break;
    }
    return text;
  }

  std::string ReadAll(LogOptions options) {
    auto reader = LogReader::Open(path_, options);
    EXPECT_TRUE(reader.has_value());
    std::string text = Drain(*reader);
    return text + reader->Flush();
  }

  fs::path directory_;
  std::string path_;
};

TEST_F(LogReaderTest, JoinsPartialRecordsPerStream) {
  Append(Record("ab", "P") + Record("err", "F", "stderr") + Record("cd", "P") + Record("ef"));
  EXPECT_EQ(ReadAll({}), "err\nabcdef\n");
}

// LG-05
TEST_F(LogReaderTest, FlushesATrailingPartialOnce) {
  Append(Record("whole") + Record("cut off", "P"));
  EXPECT_EQ(ReadAll({}), "whole\ncut off\n");
}

TEST_F(LogReaderTest, KeepsEmptyLinesAndLinesThatAreNoRecords) {
  Append(Record("") + "2026-11-25T00:18:00.5Z stdout F\nnonsense\n");
  EXPECT_EQ(ReadAll({}), "\n\nnonsense\n");
}

TEST_F(LogReaderTest, TailCountsJoinedLines) {
  Append(Record("one") + Record("t", "P") + Record("w", "P") + Record("o") + Record("three"));
  EXPECT_EQ(ReadAll({.tail = 2}), "two\nthree\n");
  EXPECT_EQ(ReadAll({.tail = 1}), "three\n");
  EXPECT_EQ(ReadAll({.tail = 0}), "");
  EXPECT_EQ(ReadAll({.tail = 99}), "one\ntwo\nthree\n");
}

TEST_F(LogReaderTest, TailCrossesBlocks) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += Record(fmt::format("line {:05} with something to fill the block", i));
  Append(text);
  const std::string tail = ReadAll({.tail = 3000});
  EXPECT_TRUE(tail.starts_with("line 02000 ")) << tail.substr(0, 40);
  EXPECT_EQ(std::count(tail.begin(), tail.end(), '\n'), 3000);
}

TEST_F(LogReaderTest, SinceAndTimestamps) {
  Append(Record("old", "F", "stdout", 1) + Record("new", "F", "stdout", 30));
  LogOptions options;
  options.format.not_before = ParseRfc3339("2026-11-25T01:18:20+01:00");
  options.format.timestamps = true;
  EXPECT_EQ(ReadAll(options), "2026-11-25T00:18:30.5Z new\n");
}

// LG-01
TEST_F(LogReaderTest, FollowLosesAndRepeatsNothingOverRotations) {
  std::string expected;
  int line = 0;
  const auto write = [&](int count) {
    for (int i = 0; i < count; ++i, ++line) {
      Append(Record(fmt::format("line {}", line)));
      expected += fmt::format("line {}\n", line);
    }
  };
  write(10);
  auto reader = LogReader::Open(path_, {.follow = true});
  ASSERT_TRUE(reader.has_value());
  std::string seen = Drain(*reader);
  for (int rotation = 0; rotation < 20; ++rotation) {
    write(7);
    Rotate(fmt::format("20261125-0018{:02}", rotation));
    write(5);
    // Now and then two rotations come between two looks.
    if (rotation % 3 != 0) seen += Drain(*reader);
  }
  seen += Drain(*reader);
  EXPECT_EQ(seen, expected);
}

TEST_F(LogReaderTest, ReadsWhatIsWrittenToTheOldFileAfterTheRename) {
  Append(Record("a"));
  auto reader = LogReader::Open(path_, {.follow = true});
  ASSERT_TRUE(reader.has_value());
  std::ofstream old(path_, std::ios::app);
  Rotate("20261125-001800");
  EXPECT_EQ(Drain(*reader), "a\n");  // the new file does not exist yet
  Append(Record("c"));
  auto chunk = reader->Read();
  ASSERT_TRUE(chunk.has_value());
  EXPECT_FALSE(chunk->settled);
  old << Record("b") << std::flush;
  EXPECT_EQ(Drain(*reader), "b\nc\n");
}

TEST_F(LogReaderTest, TruncationInPlaceStartsOver) {
  Append(Record("first line, a long one"));
  auto reader = LogReader::Open(path_, {.follow = true});
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(Drain(*reader), "first line, a long one\n");
  fs::resize_file(path_, 0);
  Append(Record("x"));
  EXPECT_EQ(Drain(*reader), "x\n");
}

TEST_F(LogReaderTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(LogReader::Open(path_, {}).error().kind(), ErrorKind::kAbsent);
  EXPECT_EQ(LogReader::Open(directory_.string(), {}).error().kind(), ErrorKind::kInvalid);
}

TEST(LogJoiner, CutsEndlessLines) {
  LogJoiner joiner{LogFormat{}};
  std::string seen;
  const std::string block(100'000, 'x');
  for (int i = 0; i < 30; ++i) seen += joiner.Feed(block);
  EXPECT_GE(seen.size(), 2'000'000u);
  seen += joiner.Flush();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 'x'), 3'000'000);
}

TEST(ParseRfc3339, RefusesWhatIsNoTime) {
  EXPECT_EQ(FormatRfc3339(*ParseRfc3339("2026-11-25T00:18:32.123456789-05:30")), "2026-11-25T05:48:32Z");
  for (const char* bad : {"", "2026-11-25", "2026-13-25T00:18:32Z", "2026-02-30T00:18:32Z", "2026-11-25T24:18:32Z",
                          "2026-11-25T00:18:32", "2026-11-25T00:18:32.Z", "2026-11-25T00:18:32Zx"}) {
    EXPECT_FALSE(ParseRfc3339(bad)) << bad;
  }
}

}  // namespace
}  // namespace daemonsetd::local
