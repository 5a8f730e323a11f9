#include "agent/store/record_format.h"

#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

namespace daemonsetd::store {
namespace {

using ::testing::HasSubstr;

checkpointv1::PodRecord Sample() {
  checkpointv1::PodRecord record;
  record.set_uid("11111111-2222-3333-4444-555555555555");
  record.set_name("agent-x7k2p");
  record.set_terminal_phase("Failed");
  for (const char* name : {"b", "a", "c"}) (*record.mutable_containers())[name].set_restart_count(7);
  return record;
}

std::string Message(const Status& status) { return status ? "" : status.error().message(); }

// The check value of the algorithm's catalogue entry, and RFC 3720 B.4.
TEST(RecordFormat, TheChecksumIsCrc32c) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(""), 0U);
}

TEST(RecordFormat, ARecordComesBackAsItWas) {
  const std::string bytes = EncodeRecord("pod", Sample());
  checkpointv1::PodRecord back;
  ASSERT_TRUE(DecodeRecord(bytes, "pod", back));
  EXPECT_EQ(back.containers().at("b").restart_count(), 7);
  EXPECT_EQ(EncodeRecord("pod", back), bytes);
}

// An older agent must not lose what a newer one wrote.
TEST(RecordFormat, UnknownFieldsSurvive) {
  checkpointv1::PodRecord record = Sample();
  record.GetReflection()->MutableUnknownFields(&record)->AddLengthDelimited(1000, "from the future");
  checkpointv1::PodRecord back;
  ASSERT_TRUE(DecodeRecord(EncodeRecord("pod", record), "pod", back));
  back.set_terminal_phase("Succeeded");
  EXPECT_THAT(EncodeRecord("pod", back), HasSubstr("from the future"));
}

TEST(RecordFormat, EveryCutAndEveryFlippedBitIsNoticed) {
  const std::string bytes = EncodeRecord("pod", Sample());
  checkpointv1::PodRecord back;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeRecord(bytes.substr(0, length), "pod", back)) << length;
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const Status decoded = DecodeRecord(damaged, "pod", back);
    // The case of the checksum's letters carries nothing.
    if (decoded) {
      EXPECT_LT(bit / 8, bytes.find('\n'));
      EXPECT_EQ(EncodeRecord("pod", back), bytes);
    }
  }
  EXPECT_FALSE(DecodeRecord(bytes + "x", "pod", back));
}

TEST(RecordFormat, SaysWhatIsWrong) {
  const std::string bytes = EncodeRecord("pod", Sample());
  checkpointv1::PodRecord back;
  EXPECT_EQ(Message(DecodeRecord("", "pod", back)), "damaged: it has no header");
  EXPECT_EQ(Message(DecodeRecord(bytes.substr(0, bytes.size() - 1), "pod", back)).substr(0, 15), "damaged: it has");
  EXPECT_EQ(Message(DecodeRecord(bytes, "workload", back)), "damaged: it holds a record of another kind");
  std::string newer = bytes;
  newer.replace(newer.find(" 1 "), 3, " 2 ");
  const Status unsupported = DecodeRecord(newer, "pod", back);
  ASSERT_FALSE(unsupported);
  EXPECT_EQ(unsupported.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(Message(unsupported), "written by a newer daemonsetd (format 2, this one reads up to 1)");
}

// CWE-22: a UID comes from a manifest.
TEST(RecordFormat, AFileNameNeverLeavesItsDirectory) {
  EXPECT_EQ(RecordFileName("11111111-2222-3333-4444-555555555555"), "11111111-2222-3333-4444-555555555555");
  for (const std::string& uid :
       {std::string("../../etc/passwd"), std::string("."), std::string(), std::string("a.tmp"),
        std::string("a.damaged"), std::string(300, 'a'), std::string("A"), std::string("a\0b", 3)}) {
    const std::string name = RecordFileName(uid);
    EXPECT_EQ(name.size(), 37U) << uid;
    EXPECT_EQ(name.find_first_of("/."), std::string::npos) << uid;
  }
  EXPECT_NE(RecordFileName(".."), RecordFileName("."));
}

}  // namespace
}  // namespace daemonsetd::store
