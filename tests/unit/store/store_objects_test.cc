#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>

#include <set>

#include "tests/unit/store/store_fixture.h"

namespace daemonsetd::store {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StoreObjects : public StoreTest {
 protected:
  std::string ObjectPath(const std::string& name) { return directory + "/objects/ConfigMap_default_" + name; }
  // Changes with every writing: each makes a new file.
  static ino_t FileNumber(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_ino;
  }
  void See(const std::string& name, std::int64_t seen_at, const std::string& bytes = "1") {
    ObjectRecord record = Object("default", name, bytes);
    record.set_seen_at(seen_at);
    store->Put(std::move(record));
  }
  std::int64_t SeenOnDisk(const std::string& name) {
    ObjectRecord record;
    EXPECT_TRUE(DecodeRecord(Content(ObjectPath(name)), "object", record));
    return record.seen_at();
  }
};

TEST_F(StoreObjects, ObjectsAndPositionsAreThereAfterARestart) {
  Start();
  store->Put(Object("default", "a", "old"));
  store->Put(Object("default", "a", "new"));
  store->Put(Object("other", "a"));
  ObjectRecord node;
  node.set_kind("Node");
  node.set_name("n1");
  store->Put(node);
  store->Put(Position("pods", "77"));
  loop.Advance(seconds(1));
  EXPECT_THAT(FilesIn(directory + "/objects"), ElementsAre("ConfigMap_default_a", "ConfigMap_other_a", "Node__n1"));
  EXPECT_EQ(ModeOf(ObjectPath("a")), 0600U);
  Stop();
  EXPECT_THAT(Start().problems, IsEmpty());
  ASSERT_NE(store->FindObject("ConfigMap", "default", "a"), nullptr);
  EXPECT_EQ(store->FindObject("ConfigMap", "default", "a")->object(), "new");
  EXPECT_EQ(store->FindObject("ConfigMap", "default", "a")->seen_at(), 1000);
  EXPECT_NE(store->FindObject("Node", "", "n1"), nullptr);
  EXPECT_EQ(store->FindObject("Secret", "default", "a"), nullptr);
  EXPECT_THAT(store->ObjectsOf("ConfigMap"), SizeIs(2));
  EXPECT_THAT(store->ObjectsOf("Config"), IsEmpty());
  ASSERT_NE(store->FindPosition("pods"), nullptr);
  EXPECT_EQ(store->FindPosition("pods")->newest(), "77");
}

TEST_F(StoreObjects, ARemovedObjectStaysAway) {
  Start();
  store->Put(Object("default", "a"));
  loop.Advance(seconds(1));
  store->RemoveObject("ConfigMap", "default", "a");
  store->RemoveObject("ConfigMap", "default", "never-there");
  loop.Advance(seconds(1));
  EXPECT_THAT(FilesIn(directory + "/objects"), IsEmpty());
  Stop();
  EXPECT_THAT(Start().objects, IsEmpty());
}

// Names come from the server; each keeps its own file within the directory.
TEST_F(StoreObjects, HostileNames) {
  const std::vector<std::pair<std::string, std::string>> names = {{"a", "b_c"},
                                                                  {"a_b", "c"},
                                                                  {"a/b", "c"},
                                                                  {"a", "b/c"},
                                                                  {"", "../../x"},
                                                                  {"..", ".."},
                                                                  {"", ""},
                                                                  {"a", "app.tmp"},
                                                                  {"a", "x.damaged"},
                                                                  {"a", std::string(300, 'n')},
                                                                  {std::string(300, 'n'), "a"},
                                                                  {"a", std::string("n\0m", 3)},
                                                                  {"a", "n\nm"},
                                                                  {"a", "%2f"},
                                                                  {"a", "Big"}};
  Start();
  for (const auto& [name_space, name] : names) store->Put(Object(name_space, name, name_space + "|" + name));
  loop.Advance(seconds(1));
  EXPECT_THAT(FilesIn(directory + "/objects"), SizeIs(names.size()));
  EXPECT_THAT(FilesIn(directory), ElementsAre("images", "objects", "pods", "positions", "workloads"));
  Stop();
  const LoadResult loaded = Start();
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_THAT(loaded.objects, SizeIs(names.size()));
  for (const auto& [name_space, name] : names) {
    const ObjectRecord* record = store->FindObject("ConfigMap", name_space, name);
    ASSERT_NE(record, nullptr) << name_space << "|" << name;
    EXPECT_EQ(record->object(), name_space + "|" + name);
  }
}

TEST_F(StoreObjects, WhenItWasSeenIsWrittenOnceAMinute) {
  Start();
  See("a", 1);
  loop.Advance(seconds(1));
  const ino_t first = FileNumber(ObjectPath("a"));
  for (int i = 2; i < 56; ++i) {
    See("a", i);
    loop.Advance(seconds(1));
    ASSERT_EQ(SeenOnDisk("a"), 1) << i;
    ASSERT_EQ(store->FindObject("ConfigMap", "default", "a")->seen_at(), i);
  }
  EXPECT_EQ(FileNumber(ObjectPath("a")), first);
  loop.Advance(seconds(10));
  EXPECT_EQ(SeenOnDisk("a"), 55);
  int written = 0;
  for (int i = 100; i < 400; ++i) {
    const std::int64_t before = SeenOnDisk("a");
    See("a", i);
    loop.Advance(seconds(1));
    if (SeenOnDisk("a") != before) ++written;
  }
  EXPECT_THAT(written, ::testing::AllOf(::testing::Ge(4), ::testing::Le(5)));
}

TEST_F(StoreObjects, AChangeIsWrittenAtOnceWithWhenItWasSeen) {
  Start();
  See("a", 1);
  loop.Advance(seconds(1));
  See("a", 2);
  See("a", 3, "changed");
  See("a", 4, "changed");
  loop.Advance(seconds(1));
  EXPECT_EQ(SeenOnDisk("a"), 4);
  See("a", 5, "changed");
  loop.Advance(seconds(1));
  EXPECT_EQ(SeenOnDisk("a"), 4);
}

TEST_F(StoreObjects, FlushWritesWhenItWasSeen) {
  Start();
  See("a", 1);
  store->Put(Position("pods", "1"));
  loop.Advance(seconds(1));
  See("a", 2);
  store->Put(Position("pods", "2"));
  loop.Advance(seconds(1));
  loop.Cancel(running);
  EXPECT_EQ(SeenOnDisk("a"), 1);
  EXPECT_TRUE(loop.Run(store->Flush(loop.timeline().mono() + seconds(1))));
  EXPECT_EQ(SeenOnDisk("a"), 2);
  EXPECT_THAT(Content(directory + "/positions/pods"), HasSubstr("\x12\x01"
                                                                "2"));
}

TEST_F(StoreObjects, HowFarTheServerWasHeardIsWrittenOnceAMinute) {
  Start();
  store->Put(Position("pods", "1"));
  loop.Advance(seconds(1));
  const ino_t first = FileNumber(directory + "/positions/pods");
  store->Put(Position("pods", "2"));
  loop.Advance(seconds(50));
  EXPECT_EQ(FileNumber(directory + "/positions/pods"), first);
  loop.Advance(minutes(1));
  Stop();
  Start();
  EXPECT_EQ(store->FindPosition("pods")->newest(), "2");
}

TEST_F(StoreObjects, FieldsOfANewerVersionAreKept) {
  Start();
  ObjectRecord record = Object("default", "a");
  record.GetReflection()->MutableUnknownFields(&record)->AddLengthDelimited(1000, "from the future");
  store->Put(record);
  loop.Advance(seconds(1));
  Stop();
  Start();
  ObjectRecord changed = *store->FindObject("ConfigMap", "default", "a");
  changed.set_object("2");
  store->Put(changed);
  loop.Advance(seconds(1));
  EXPECT_THAT(Content(ObjectPath("a")), HasSubstr("from the future"));
}

// A Secret may hold 1 MiB of data, and more as a whole.
TEST_F(StoreObjects, TheLargestObjectsOfTheServerAreKept) {
  Start();
  store->Put(Object("default", "a", std::string(3 << 19, 'x')));
  loop.Advance(seconds(1));
  Stop();
  const LoadResult loaded = Start();
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_THAT(loaded.objects, SizeIs(1));
}

TEST_F(StoreObjects, WhatIsTooLargeForAFileDoesNotComeBackAsItWasBefore) {
  Start();
  store->Put(Object("default", "a", "small"));
  loop.Advance(seconds(1));
  store->Put(Object("default", "a", std::string(kMaxRecordBytes, 'x')));
  store->Put(Object("default", "b", std::string(kMaxRecordBytes, 'x')));
  loop.Advance(seconds(1));
  EXPECT_EQ(store->FindObject("ConfigMap", "default", "a")->object().size(), kMaxRecordBytes);
  EXPECT_EQ(store->problem(), "");
  Stop();
  const LoadResult loaded = Start();
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_THAT(loaded.objects, IsEmpty());
}

}  // namespace
}  // namespace daemonsetd::store
