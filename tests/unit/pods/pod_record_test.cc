#include "agent/pods/pod_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/pod_plan.h"
#include "tests/support/pod_builders.h"

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using testing::MakeContainer;
using testing::MakePod;
using testing::MakeSandbox;

class PodRecordTest : public ::testing::Test {
 protected:
  checkpointv1::PodRecord Record() {
    checkpointv1::PodRecord record;
    UpdateRecord(pod, PodIdentity{.owner_uid = "owner"}, memory, observed, record);
    return record;
  }

  corev1::Pod pod = MakePod({"main"});
  decide::PodMemory memory;
  decide::ObservedPod observed;
};

// LC-25
TEST_F(PodRecordTest, RestartCountsGoOnWhereTheRuntimeHasForgottenThem) {
  observed.containers = {MakeContainer({.id = "c3", .name = "main", .restart_count = 3})};
  decide::PodMemory next;
  RestoreMemory(Record(), next);
  next.set_up = true;
  decide::ObservedPod wiped;
  wiped.sandboxes = {MakeSandbox("s1")};
  const decide::PodPlan plan = decide::PlanPod(pod, {}, wiped, next, MonoTime{});
  ASSERT_EQ(plan.actions.size(), 1u);
  EXPECT_EQ(decide::ToString(plan.actions[0]), "start container main (attempt 4) in sandbox s1");
}

TEST_F(PodRecordTest, ARecordedRestartCountDoesNotFall) {
  observed.containers = {MakeContainer({.id = "c3", .name = "main", .restart_count = 3})};
  checkpointv1::PodRecord record = Record();
  observed.containers = {MakeContainer({.id = "c0", .name = "main", .restart_count = 0})};
  UpdateRecord(pod, {}, memory, observed, record);
  EXPECT_EQ(record.containers().at("main").restart_count(), 3);
}

TEST_F(PodRecordTest, OutcomesOfProbesAreKeptPerContainerIdAndGoWithIt) {
  memory.instances["c0"].ready = false;
  memory.instances["c1"].started = true;
  checkpointv1::PodRecord record = Record();
  decide::PodMemory next;
  RestoreMemory(record, next);
  EXPECT_EQ(next.instances["c0"].ready, std::optional<bool>(false));
  EXPECT_EQ(next.instances["c0"].started, std::nullopt) << "not known is neither yes nor no";
  EXPECT_EQ(next.instances["c1"].started, std::optional<bool>(true));
  memory.instances.erase("c0");
  UpdateRecord(pod, {}, memory, observed, record);
  EXPECT_EQ(record.probes().count("c0"), 0u);
}

// LC-23
TEST_F(PodRecordTest, ThePodsEndIsFinal) {
  memory.terminal_phase = "Failed";
  decide::PodMemory next;
  RestoreMemory(Record(), next);
  EXPECT_EQ(next.terminal_phase, "Failed");
}

TEST_F(PodRecordTest, WhatThisVersionDoesNotKnowStays) {
  checkpointv1::PodRecord record;
  record.GetReflection()->MutableUnknownFields(&record)->AddVarint(1000, 7);
  UpdateRecord(pod, {}, memory, observed, record);
  EXPECT_EQ(record.GetReflection()->GetUnknownFields(record).field_count(), 1);
}

}  // namespace
}  // namespace daemonsetd::pods
