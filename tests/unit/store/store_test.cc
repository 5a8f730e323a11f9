#include "agent/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/store/store_fixture.h"

namespace daemonsetd::store {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(StoreTest, WhatWasPutIsThereAfterARestart) {
  EXPECT_THAT(Start().problems, IsEmpty());
  store->Put(Pod("a", 3));
  store->Put(Pod("b"));
  store->Put(Workload("w", 9));
  loop.Advance(seconds(1));
  Stop();
  const LoadResult loaded = Start();
  EXPECT_THAT(loaded.problems, IsEmpty());
  ASSERT_THAT(loaded.pods, SizeIs(2));
  ASSERT_NE(store->FindPod("a"), nullptr);
  EXPECT_EQ(store->FindPod("a")->containers().at("main").restart_count(), 3);
  ASSERT_NE(store->FindWorkload("w"), nullptr);
  EXPECT_EQ(store->FindWorkload("w")->next_sequence(), 9U);
  EXPECT_EQ(store->FindPod("c"), nullptr);
}

TEST_F(StoreTest, ARemovedRecordStaysAway) {
  Start();
  store->Put(Pod("a"));
  loop.Advance(seconds(1));
  store->RemovePod("a");
  store->RemovePod("never-there");
  loop.Advance(seconds(1));
  EXPECT_THAT(FilesIn(directory + "/pods"), IsEmpty());
  Stop();
  EXPECT_THAT(Start().pods, IsEmpty());
}

TEST_F(StoreTest, OnlyTheOwnerMayReadAndLooseModesAreRepaired) {
  Start();
  store->Put(Pod("a"));
  loop.Advance(seconds(1));
  EXPECT_EQ(ModeOf(directory), 0700U);
  EXPECT_EQ(ModeOf(directory + "/pods"), 0700U);
  EXPECT_EQ(ModeOf(PathOf("a")), 0600U);
  Stop();
  for (const std::string& path : {directory, directory + "/pods"}) ::chmod(path.c_str(), 0755);
  ::chmod(PathOf("a").c_str(), 0644);
  Start();
  EXPECT_EQ(ModeOf(directory), 0700U);
  EXPECT_EQ(ModeOf(directory + "/pods"), 0700U);
  EXPECT_EQ(ModeOf(PathOf("a")), 0600U);
}

TEST_F(StoreTest, ADamagedRecordIsSetAsideAndTheOthersLoad) {
  Start();
  store->Put(Pod("a"));
  store->Put(Pod("b"));
  loop.Advance(seconds(1));
  Stop();
  std::string bytes = Content(PathOf("a"));
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteText(PathOf("a"), bytes);
  const LoadResult loaded = Start();
  ASSERT_THAT(loaded.pods, SizeIs(1));
  EXPECT_EQ(loaded.pods[0].uid(), "b");
  EXPECT_THAT(loaded.problems, ElementsAre("checkpoint: " + PathOf("a") + " is damaged: its checksum does not fit; " +
                                           "set aside as " + PathOf("a") + ".damaged"));
  EXPECT_EQ(Content(PathOf("a") + ".damaged"), bytes);
  // Told once; and a new record of that pod is written beside it.
  store->Put(Pod("a"));
  loop.Advance(seconds(1));
  Stop();
  EXPECT_THAT(Start().problems, IsEmpty());
  EXPECT_THAT(FilesIn(directory + "/pods"), ElementsAre("a", "a.damaged", "b"));
}

TEST_F(StoreTest, ARecordOfANewerVersionIsSetAsideWithItsOwnWords) {
  Start();
  Stop();
  WriteText(PathOf("a"), "daemonsetd-record 7 pod something=else\nwhatever");
  const LoadResult loaded = Start();
  ASSERT_THAT(loaded.problems, SizeIs(1));
  EXPECT_THAT(loaded.problems[0], HasSubstr("is written by a newer daemonsetd (format 7, this one reads up to 1)"));
  EXPECT_THAT(FilesIn(directory + "/pods"), ElementsAre("a.damaged"));
}

TEST_F(StoreTest, ARecordUnderAnothersNameIsNotBelieved) {
  Start();
  store->Put(Pod("a"));
  loop.Advance(seconds(1));
  Stop();
  fs::rename(PathOf("a"), PathOf("b"));
  const LoadResult loaded = Start();
  EXPECT_THAT(loaded.pods, IsEmpty());
  EXPECT_THAT(loaded.problems, SizeIs(1));
}

TEST_F(StoreTest, WhatAnInterruptedWriteLeftIsRemoved) {
  Start();
  Stop();
  WriteText(PathOf("a.tmp"), "daemonsetd-rec");
  EXPECT_THAT(Start().problems, IsEmpty());
  EXPECT_THAT(FilesIn(directory + "/pods"), IsEmpty());
}

TEST_F(StoreTest, WhatIsNoRecordIsToldAndLeftAlone) {
  Start();
  Stop();
  fs::create_directory(PathOf("directory"));
  ASSERT_EQ(::mkfifo(PathOf("pipe").c_str(), 0600), 0);
  fs::create_symlink("/etc/passwd", PathOf("link"));
  WriteText(PathOf("huge"), std::string(kMaxRecordBytes + 1, 'x'));
  EXPECT_THAT(Start().problems, SizeIs(4));
  EXPECT_THAT(FilesIn(directory + "/pods"), SizeIs(4));
}

TEST_F(StoreTest, OnlyTheNewestValueIsWrittenAndTheSameNotAgain) {
  Start();
  store->Put(Pod("a", 1));
  store->Put(Pod("a", 2));
  loop.Advance(seconds(1));
  const auto first = fs::last_write_time(PathOf("a"));
  struct stat before{};
  ASSERT_EQ(::stat(PathOf("a").c_str(), &before), 0);
  store->Put(Pod("a", 2));
  loop.Advance(seconds(1));
  struct stat after{};
  ASSERT_EQ(::stat(PathOf("a").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(fs::last_write_time(PathOf("a")), first);
  // Neither after a restart.
  Stop();
  Start();
  store->Put(Pod("a", 2));
  loop.Advance(seconds(1));
  ASSERT_EQ(::stat(PathOf("a").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(StoreTest, AWriteThatFailsIsToldAndTriedAgainUntilItWorks) {
  Start();
  store->Put(Pod("gone"));
  store->Put(Pod("kept"));
  loop.Advance(seconds(1));
  // A file in the way stands for a full or read-only disk: those need root.
  fs::rename(directory + "/pods", root + "/away");
  WriteText(directory + "/pods", "in the way");
  store->Put(Pod("kept", 2));
  store->RemovePod("gone");
  store->Put(Workload("w", 1));
  loop.Advance(seconds(1));
  EXPECT_THAT(store->problem(), HasSubstr("the checkpoint cannot be written"));
  EXPECT_THAT(store->problem(), HasSubstr("make room in " + directory + " or make it writable"));
  EXPECT_EQ(told, 1);
  EXPECT_THAT(FilesIn(directory + "/workloads"), ElementsAre("w"));  // others are not held up
  const std::string same = store->problem();
  loop.Advance(std::chrono::minutes(5));
  EXPECT_EQ(store->problem(), same);
  EXPECT_EQ(told, 1);
  fs::remove(directory + "/pods");
  fs::rename(root + "/away", directory + "/pods");
  loop.Advance(std::chrono::minutes(2));
  EXPECT_EQ(store->problem(), "");
  EXPECT_EQ(told, 2);
  EXPECT_THAT(FilesIn(directory + "/pods"), ElementsAre("kept"));
  Stop();
  Start();
  EXPECT_EQ(store->FindPod("kept")->containers().at("main").restart_count(), 2);
}

TEST_F(StoreTest, ADirectoryThatWasRemovedIsMadeAgain) {
  Start();
  fs::remove_all(directory);
  store->Put(Pod("a"));
  loop.Advance(seconds(1));
  EXPECT_THAT(FilesIn(directory + "/pods"), ElementsAre("a"));
}

TEST_F(StoreTest, FlushWritesWhatRunHadNoTimeFor) {
  Start();
  store->Put(Pod("a"));
  loop.Cancel(running);
  EXPECT_FALSE(fs::exists(PathOf("a")));
  EXPECT_TRUE(loop.Run(store->Flush(loop.timeline().mono() + seconds(1))));
  EXPECT_TRUE(fs::exists(PathOf("a")));
  store->Put(Pod("b"));
  const Status late = loop.Run(store->Flush(loop.timeline().mono()));
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message(), HasSubstr("1 checkpoint records were not written"));
}

// A machine that lost power may hold more than it should ever have: the oldest go.
TEST_F(StoreTest, TheNumberOfRecordsIsBounded) {
  Start();
  Stop();
  for (int i = 0; i < 2005; ++i) {
    const std::string uid = "u" + std::to_string(i);
    WriteText(PathOf(uid), EncodeRecord("pod", Pod(uid)));
    if (i < 5) fs::last_write_time(PathOf(uid), fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  const LoadResult loaded = Start();
  EXPECT_THAT(loaded.pods, SizeIs(2000));
  EXPECT_FALSE(fs::exists(PathOf("u4")));
  EXPECT_TRUE(fs::exists(PathOf("u5")));
}

TEST_F(StoreTest, AReadOnlyStateDirectoryStopsNothing) {
  directory = "/proc/daemonsetd-test/checkpoint";
  EXPECT_THAT(Start().problems, ::testing::Not(IsEmpty()));
  store->Put(Pod("a"));
  loop.Advance(seconds(1));
  EXPECT_NE(store->problem(), "");
  EXPECT_NE(store->FindPod("a"), nullptr);
}

}  // namespace
}  // namespace daemonsetd::store
