// OF-10: whatever became of one record, the others load, and it is told.
#include <gmock/gmock.h>

#include "tests/unit/store/store_fixture.h"

namespace daemonsetd::store {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// All that Load found, as bytes.
std::vector<std::string> Contents(const LoadResult& loaded) {
  std::vector<std::string> all;
  for (const auto& record : loaded.pods) all.push_back(EncodeRecord("pod", record));
  for (const auto& record : loaded.workloads) all.push_back(EncodeRecord("workload", record));
  for (const auto& record : loaded.objects) all.push_back(EncodeRecord("object", record));
  for (const auto& record : loaded.positions) all.push_back(EncodeRecord("position", record));
  std::sort(all.begin(), all.end());
  return all;
}

class RecordDamage : public StoreTest, public ::testing::WithParamInterface<const char*> {
 protected:
  RecordDamage() {
    Start();
    for (const char* name : {"a", "b", "c"}) {
      store->Put(Pod(name, 3));
      store->Put(Workload(name, 9));
      store->Put(Object("default", name, "some bytes"));
      store->Put(Position(name, "12345"));
    }
    loop.Advance(seconds(1));
    Stop();
    path = directory + "/" + GetParam();
    whole = Content(path);
    all = Contents(Load(directory));
    others = all;
    std::erase(others, whole);
  }

  // With these bytes in the record's file.
  void ExpectTheOthers(const std::string& bytes, const std::string& what) {
    WriteText(path, bytes);
    const LoadResult loaded = Load(directory);
    const std::vector<std::string> found = Contents(loaded);
    if (loaded.problems.empty()) {
      EXPECT_EQ(found, all) << what;  // the case of the checksum's letters carries nothing
      return;
    }
    EXPECT_EQ(found, others) << what;
    EXPECT_THAT(loaded.problems, SizeIs(1)) << what;
    EXPECT_THAT(loaded.problems[0], HasSubstr(path + " is ")) << what;
    EXPECT_EQ(Content(path + ".damaged"), bytes) << what;
    EXPECT_FALSE(fs::exists(path)) << what;
    fs::remove(path + ".damaged");
  }

  std::string path;
  std::string whole;
  std::vector<std::string> all;
  std::vector<std::string> others;
};

TEST_P(RecordDamage, EveryByteThatIsFlipped) {
  ASSERT_THAT(all, SizeIs(12));
  ASSERT_THAT(others, SizeIs(11));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int mask : {0x01, 0x20, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      ExpectTheOthers(bytes, "byte " + std::to_string(i) + " ^ " + std::to_string(mask));
    }
  }
}

TEST_P(RecordDamage, EveryLengthThatItIsCutTo) {
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ExpectTheOthers(whole.substr(0, length), "length " + std::to_string(length));
  }
  ExpectTheOthers(whole + "x", "one byte more");
  ExpectTheOthers(std::string(whole.size(), '\0'), "zeros");
}

TEST_P(RecordDamage, AFormatOfTheFutureIsKeptForThatFuture) {
  std::string bytes = whole;
  bytes.replace(bytes.find(" 1 "), 3, " 2 ");
  ExpectTheOthers(bytes, "format 2");
}

TEST_P(RecordDamage, ARecordOfAnotherFamilyIsNotBelieved) {
  for (const char* other : {"pods/c", "workloads/c", "objects/ConfigMap_default_c", "positions/c"}) {
    ExpectTheOthers(Content(directory + "/" + other), other);
  }
}

INSTANTIATE_TEST_SUITE_P(EachFamily, RecordDamage,
                         ::testing::Values("pods/a", "workloads/a", "objects/ConfigMap_default_a", "positions/a"));

}  // namespace
}  // namespace daemonsetd::store
