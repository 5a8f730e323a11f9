#include "agent/pods/sequences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/memory_records.h"

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;

TEST(Sequences, EachNumberIsUsedOnce) {
  testing::MemoryRecords records;
  EXPECT_EQ(NextSequence(records, "set"), 0U);
  RaiseSequence(records, {.uid = "set", .namespace_ = "default", .name = "agent"}, 1);
  RaiseSequence(records, {.uid = "set"}, 3);
  RaiseSequence(records, {.uid = "set"}, 2);
  RaiseSequence(records, {}, 7);
  EXPECT_EQ(NextSequence(records, "set"), 3U);
  EXPECT_EQ(records.workloads.at("set").name(), "agent") << "what is known stays";
  EXPECT_EQ(records.workloads.size(), 1U);
}

TEST(Sequences, GoWithADaemonSetOfTheApiServerOnly) {
  testing::MemoryRecords records;
  RaiseSequence(records, {.uid = "manifest"}, 1);
  RaiseSequence(records, {.uid = "gone", .from_api_server = true}, 1);
  RaiseSequence(records, {.uid = "there", .from_api_server = true}, 1);
  ForgetSequences(records, [](const std::string& uid) { return uid == "there"; });
  EXPECT_THAT(records.WorkloadUids(), ElementsAre("manifest", "there"));
}

}  // namespace
}  // namespace daemonsetd::pods
