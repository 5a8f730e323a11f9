#include "agent/local/log_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "agent/local/rfc3339.h"
#include "tests/support/temporary_directory.h"

namespace daemonsetd::local {
namespace {

namespace fs = std::filesystem;

std::string Record(const std::string& text, const char* tag = "F", const char* stream = "stdout", int second = 0) {
  return fmt::format("2026-11-25T00:18:{:02}.5Z {} {} {}\n", second, stream, tag, text);
}

class LogReaderTest : public ::testing::Test {
 protected:
  void Append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  void Rotate(const std::string& suffix) { fs::rename(path_, path_ + "." + suffix); }

  // As the agent does it: the compressed file has the time of the plain one, which goes last.
  void Compress(const std::string& suffix, bool finish = true) {
    const std::string plain = path_ + "." + suffix;
    std::ifstream in(plain);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const gzFile out = gzopen((plain + ".gz").c_str(), "wb");
    gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
    gzclose(out);
    struct stat facts{};
    ASSERT_EQ(stat(plain.c_str(), &facts), 0);
    const timespec times[2] = {facts.st_atim, facts.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, (plain + ".gz").c_str(), times, 0), 0);
    if (finish) fs::remove(plain);
  }
  std::string Lines(int from, int to) {
    std::string text;
    for (int i = from; i < to; ++i) text += fmt::format("line {}\n", i);
    return text;
  }
  void AppendLines(int from, int to) {
    for (int i = from; i < to; ++i) Append(Record(fmt::format("line {}", i)));
  }
  static std::size_t OpenDescriptors() {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
  }

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

  const testing::TemporaryDirectory temporary_;
  const fs::path directory_ = temporary_.path();
  const std::string path_ = (directory_ / "0.log").string();
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

// The runtime may be slow to let go of the old file, and nobody knows how slow.
TEST_F(LogReaderTest, StaysWithTheOldFileForAsLongAsItIsWritten) {
  Append(Record("a"));
  auto reader = LogReader::Open(path_, {.follow = true});
  ASSERT_TRUE(reader.has_value());
  std::ofstream old(path_, std::ios::app);
  Rotate("20261125-001800");
  Append(Record("z"));
  std::string seen;
  for (int look = 0; look < 10; ++look) {
    old << Record(fmt::format("{}", look)) << std::flush;
    auto chunk = reader->Read();
    ASSERT_TRUE(chunk.has_value());
    seen += chunk->text;
    chunk = reader->Read();
    ASSERT_TRUE(chunk.has_value());
    EXPECT_FALSE(chunk->settled);
    seen += chunk->text;
  }
  old.close();
  EXPECT_EQ(seen + Drain(*reader), "a\n0\n1\n2\n3\n4\n5\n6\n7\n8\n9\nz\n");
}

class RotatedLogTest : public LogReaderTest {
 protected:
  // Lines 0 to 39, ten in each file, the oldest two compressed.
  void SetUp() override {
    for (int file = 0; file < 3; ++file) {
      AppendLines(10 * file, 10 * file + 10);
      Rotate(fmt::format("20261125-00180{}", file));
    }
    Compress("20261125-001800");
    Compress("20261125-001801");
    AppendLines(30, 40);
    std::ofstream(directory_ / "10.log.20261125-001800") << Record("of another attempt");
    std::ofstream(directory_ / "0.log.20261125-001801.tmp") << Record("half of it");
    std::ofstream(directory_ / "0.log.backup") << Record("somebody's");
  }
};

TEST_F(RotatedLogTest, IsReadFromItsOldestFileOn) { EXPECT_EQ(ReadAll({}), Lines(0, 40)); }

TEST_F(RotatedLogTest, TailReachesIntoEveryFile) {
  for (int lines = 0; lines <= 45; ++lines) {
    EXPECT_EQ(ReadAll({.tail = lines}), Lines(std::max(0, 40 - lines), 40)) << lines;
  }
}

TEST_F(RotatedLogTest, TailBeginsInTheOldFileRightAfterARotation) {
  Rotate("20261125-001803");
  EXPECT_EQ(ReadAll({.tail = 15}), Lines(25, 40)) << "the live file is away";
  Append("");
  EXPECT_EQ(ReadAll({.tail = 15}), Lines(25, 40)) << "the live file is empty";
}

TEST_F(RotatedLogTest, SinceReachesIntoEveryFile) {
  LogOptions options;
  options.format.not_before = ParseRfc3339("2026-11-25T00:17:00Z");
  EXPECT_EQ(ReadAll(options), Lines(0, 40));
  options.format.not_before = ParseRfc3339("2026-11-25T00:19:00Z");
  EXPECT_EQ(ReadAll(options), "");
}

TEST_F(RotatedLogTest, SinceReadsNoFileThatEndedLongBefore) {
  const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  const std::string oldest = path_ + ".20261125-001800.gz";
  std::ofstream(oldest) << "damaged: reading it would fail";
  ASSERT_EQ(utimensat(AT_FDCWD, oldest.c_str(), times, 0), 0);
  LogOptions options;
  options.format.not_before = ParseRfc3339("2026-11-25T00:17:00Z");
  EXPECT_EQ(ReadAll(options), Lines(10, 40));
}

TEST_F(RotatedLogTest, SaysThatACompressedFileIsDamaged) {
  fs::resize_file(path_ + ".20261125-001800.gz", 20);
  auto reader = LogReader::Open(path_, {});
  ASSERT_TRUE(reader.has_value());
  const auto chunk = reader->Read();
  ASSERT_FALSE(chunk.has_value());
  EXPECT_NE(chunk.error().message().find("ends too early"), std::string::npos) << chunk.error().message();
}

// The plain file is still there for a moment after the compressed one is.
TEST_F(RotatedLogTest, IsNotDoubledWhileACompressionEnds) {
  Compress("20261125-001802", false);
  EXPECT_EQ(ReadAll({}), Lines(0, 40));
  EXPECT_EQ(ReadAll({.tail = 25}), Lines(15, 40));
}

TEST_F(RotatedLogTest, ALineInPiecesMayCrossFiles) {
  Append(Record("begun, ", "P"));
  Rotate("20261125-001803");
  Append(Record("continued, ", "P"));
  Rotate("20261125-001804");
  Append(Record("ended") + Record("last"));
  EXPECT_EQ(ReadAll({}), Lines(0, 40) + "begun, continued, ended\nlast\n");
  EXPECT_EQ(ReadAll({.tail = 2}), "begun, continued, ended\nlast\n");
  EXPECT_EQ(ReadAll({.tail = 1}), "last\n");
  Compress("20261125-001803");
  Compress("20261125-001804");
  EXPECT_EQ(ReadAll({.tail = 2}), "begun, continued, ended\nlast\n");
  EXPECT_EQ(ReadAll({.tail = 3}), "line 39\nbegun, continued, ended\nlast\n");
}

TEST_F(RotatedLogTest, WhatIsRemovedOrCompressedWhileItIsReadIsReadAllTheSame) {
  auto reader = LogReader::Open(path_, {});
  ASSERT_TRUE(reader.has_value());
  auto first = reader->Read();
  ASSERT_TRUE(first.has_value());
  Compress("20261125-001802");
  for (int file = 0; file < 3; ++file) fs::remove(path_ + fmt::format(".20261125-00180{}.gz", file));
  EXPECT_EQ(first->text + Drain(*reader), Lines(0, 40));
}

TEST_F(RotatedLogTest, WithoutFollowingItEndsWhereItEndedWhenItWasOpened) {
  auto reader = LogReader::Open(path_, {});
  ASSERT_TRUE(reader.has_value());
  AppendLines(40, 50);
  EXPECT_EQ(Drain(*reader), Lines(0, 40));
}

// A slow reader: what it reads was set aside, its successors were compressed.
TEST_F(RotatedLogTest, FollowingGoesOnInCompressedFiles) {
  auto reader = LogReader::Open(path_, {.tail = 1, .follow = true});
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(Drain(*reader), Lines(39, 40));
  AppendLines(40, 50);
  Rotate("20261125-001803");
  AppendLines(50, 60);
  Rotate("20261125-001803.250");
  Compress("20261125-001803");
  Compress("20261125-001803.250");
  AppendLines(60, 70);
  Rotate("20261125-001804");
  EXPECT_EQ(Drain(*reader), Lines(40, 70));
  AppendLines(70, 80);
  EXPECT_EQ(Drain(*reader), Lines(70, 80));
}

TEST_F(RotatedLogTest, FollowingGoesOnAfterWhatWasRemovedBeforeItWasRead) {
  auto reader = LogReader::Open(path_, {.tail = 0, .follow = true});
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(Drain(*reader), "");
  AppendLines(40, 50);
  Rotate("20261125-001803");
  AppendLines(50, 60);
  Rotate("20261125-001804");
  AppendLines(60, 70);
  Rotate("20261125-001805");
  fs::remove(path_ + ".20261125-001803");
  fs::remove(path_ + ".20261125-001804");
  AppendLines(70, 80);
  EXPECT_EQ(Drain(*reader), Lines(40, 50) + Lines(60, 80));
}

TEST_F(RotatedLogTest, FollowingSurvivesARenameThatIsTakenBack) {
  auto reader = LogReader::Open(path_, {.tail = 0, .follow = true});
  ASSERT_TRUE(reader.has_value());
  Rotate("20261125-001803");
  EXPECT_EQ(Drain(*reader), "");
  EXPECT_EQ(Drain(*reader), "");
  fs::rename(path_ + ".20261125-001803", path_);
  AppendLines(40, 50);
  EXPECT_EQ(Drain(*reader), Lines(40, 50));
  Rotate("20261125-001804");
  AppendLines(50, 60);
  EXPECT_EQ(Drain(*reader), Lines(50, 60));
}

// LG-09
TEST_F(RotatedLogTest, FollowingKeepsNoOldFileOpen) {
  auto reader = LogReader::Open(path_, {.tail = 0, .follow = true});
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(Drain(*reader), "");
  const std::size_t before = OpenDescriptors();
  for (int rotation = 0; rotation < 1000; ++rotation) {
    AppendLines(rotation, rotation + 1);
    Rotate(fmt::format("20261126-{:02}{:02}00", rotation / 60, rotation % 60));
    Append("");
    ASSERT_EQ(Drain(*reader), Lines(rotation, rotation + 1));
    fs::remove(path_ + fmt::format(".20261126-{:02}{:02}00", rotation / 60, rotation % 60));
  }
  EXPECT_EQ(OpenDescriptors(), before);
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
