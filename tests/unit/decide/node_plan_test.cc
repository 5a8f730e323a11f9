#include "agent/decide/node_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/daemon_pod.h"
#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class NodePlanTest : public ::testing::Test {
 protected:
  NodePlanTest() {
    node.mutable_metadata()->set_name("node-a");
    (*node.mutable_metadata()->mutable_labels())["disk"] = "ssd";
    (*node.mutable_status()->mutable_allocatable())["cpu"].set_string("2");
    (*node.mutable_status()->mutable_allocatable())["pods"].set_string("110");
  }

  Workload MakeWorkload(const std::string& name, const std::string& hash = "hash1") {
    Workload workload{.kind = Workload::Kind::kDaemonSet,
                      .uid = "owner-" + name,
                      .namespace_ = "default",
                      .name = name,
                      .template_hash = hash};
    workload.next_pod = testing::MakePod({"main"});
    workload.next_pod.mutable_metadata()->set_name(name + "-abcde");
    workload.next_pod.mutable_metadata()->set_uid("pod-of-" + name);
    workload.placement_spec = workload.next_pod.spec();
    return workload;
  }
  void RequestCpu(Workload& workload, const std::string& cpu) {
    auto& container = *workload.next_pod.mutable_spec()->mutable_containers(0);
    (*container.mutable_resources()->mutable_requests())["cpu"].set_string(cpu);
  }
  KnownPod MakeKnown(const Workload& workload, const std::string& uid) {
    return {.uid = uid,
            .owner_uid = workload.uid,
            .template_hash = workload.template_hash,
            .hash_version = kSpecHashVersion,
            .has_worker = true,
            .healthy = true,
            .pod = &workload.next_pod};
  }
  NodePlan Plan(bool complete = true) {
    std::vector<const Workload*> pointers;
    for (const Workload& workload : workloads) pointers.push_back(&workload);
    return PlanNode(node, pointers, pods, complete);
  }

  corev1::Node node;
  std::vector<Workload> workloads;
  std::vector<KnownPod> pods;
};

TEST_F(NodePlanTest, StartsWhatIsMissing) {
  workloads = {MakeWorkload("a"), MakeWorkload("b")};
  pods = {MakeKnown(workloads[0], "p")};
  const NodePlan plan = Plan();
  ASSERT_THAT(plan.starts, SizeIs(1));
  EXPECT_EQ(plan.starts[0].workload, 1u);
  EXPECT_THAT(plan.stops, IsEmpty());
  EXPECT_EQ(plan.decisions[0].pod_uid, "p");
}

TEST_F(NodePlanTest, AdoptsAPodThatOnlyTheRuntimeKnows) {
  workloads = {MakeWorkload("a")};
  KnownPod pod = MakeKnown(workloads[0], "p");
  pod.has_worker = false;
  pod.sequence = 7;
  pods = {pod};
  const NodePlan plan = Plan();
  EXPECT_THAT(plan.starts, IsEmpty());
  EXPECT_THAT(plan.stops, IsEmpty());
  ASSERT_THAT(plan.adoptions, SizeIs(1));
  EXPECT_EQ(plan.adoptions[0].uid, "p");
  EXPECT_EQ(plan.adoptions[0].sequence, 7u);
}

// LC-22: a hash made by other rules says nothing about the template.
TEST_F(NodePlanTest, AdoptsAPodWhoseHashHasAnotherVersion) {
  workloads = {MakeWorkload("a")};
  KnownPod pod = MakeKnown(workloads[0], "p");
  pod.has_worker = false;
  pod.template_hash = "made otherwise";
  pod.hash_version = kSpecHashVersion + 1;
  pods = {pod};
  const NodePlan plan = Plan();
  EXPECT_THAT(plan.stops, IsEmpty());
  EXPECT_THAT(plan.adoptions, SizeIs(1));
}

// PL-06
TEST_F(NodePlanTest, ALabelThatNoLongerMatchesStopsThePodAndSaysWhy) {
  workloads = {MakeWorkload("a")};
  (*workloads[0].placement_spec.mutable_nodeselector())["disk"] = "hdd";
  pods = {MakeKnown(workloads[0], "p")};
  const NodePlan plan = Plan();
  ASSERT_THAT(plan.stops, SizeIs(1));
  EXPECT_THAT(plan.stops[0].reason, HasSubstr("disk"));
}

// PL-01
TEST_F(NodePlanTest, ANewNoScheduleTaintBlocksStartsOnly) {
  auto* taint = node.mutable_spec()->add_taints();
  taint->set_key("dedicated");
  taint->set_effect("NoSchedule");
  workloads = {MakeWorkload("a"), MakeWorkload("b")};
  pods = {MakeKnown(workloads[0], "p")};
  NodePlan plan = Plan();
  EXPECT_THAT(plan.stops, IsEmpty());
  EXPECT_THAT(plan.starts, IsEmpty());
  EXPECT_THAT(plan.decisions[1].waiting_for, HasSubstr("dedicated"));
  taint->set_effect("NoExecute");
  plan = Plan();
  ASSERT_THAT(plan.stops, SizeIs(1));
  EXPECT_EQ(plan.stops[0].uid, "p");
}

TEST_F(NodePlanTest, DaemonPodsTolerateTheTaintThatKeepsOthersAway) {
  auto* taint = node.mutable_spec()->add_taints();
  taint->set_key("daemonsetd.dev/daemonsets-only");
  taint->set_effect("NoSchedule");
  workloads = {MakeWorkload("a")};
  EXPECT_THAT(Plan().starts, SizeIs(1));
}

TEST_F(NodePlanTest, StaticPodsRunOnTaintedNodes) {
  auto* taint = node.mutable_spec()->add_taints();
  taint->set_key("dedicated");
  taint->set_effect("NoExecute");
  workloads = {MakeWorkload("a")};
  workloads[0].kind = Workload::Kind::kPod;
  EXPECT_THAT(Plan().starts, SizeIs(1));
}

// RO-05
TEST_F(NodePlanTest, ANewPodWaitsUntilTheOldOneIsGone) {
  workloads = {MakeWorkload("a")};
  KnownPod old = MakeKnown(workloads[0], "p");
  old.terminating = true;
  pods = {old};
  const NodePlan plan = Plan();
  EXPECT_THAT(plan.starts, IsEmpty());
  EXPECT_EQ(plan.decisions[0].waiting_for, "the old pod to be gone");
}

TEST_F(NodePlanTest, AHealthyOldPodRunsUntilTheNewImagesAreHere) {
  workloads = {MakeWorkload("a", "hash2")};
  KnownPod old = MakeKnown(workloads[0], "p");
  old.template_hash = "hash1";
  pods = {old};
  NodePlan plan = Plan();
  EXPECT_THAT(plan.stops, IsEmpty());
  EXPECT_THAT(plan.pulls, ElementsAre(0u));
  workloads[0].images_present = true;
  plan = Plan();
  ASSERT_THAT(plan.stops, SizeIs(1));
  EXPECT_EQ(plan.stops[0].reason, "its template changed");
}

// RO-14, RO-16
TEST_F(NodePlanTest, ABrokenOldPodIsReplacedAtOnce) {
  workloads = {MakeWorkload("a", "hash2")};
  KnownPod old = MakeKnown(workloads[0], "p");
  old.template_hash = "hash1";
  old.healthy = false;
  pods = {old};
  EXPECT_THAT(Plan().stops, SizeIs(1));
}

TEST_F(NodePlanTest, OnDeleteLeavesTheOldPodAlone) {
  workloads = {MakeWorkload("a", "hash2")};
  workloads[0].on_delete = true;
  workloads[0].images_present = true;
  KnownPod old = MakeKnown(workloads[0], "p");
  old.template_hash = "hash1";
  pods = {old};
  EXPECT_THAT(Plan().stops, IsEmpty());
}

// LC-01
TEST_F(NodePlanTest, OfTwoPodsTheOldestStays) {
  workloads = {MakeWorkload("a")};
  KnownPod younger = MakeKnown(workloads[0], "younger");
  younger.created_at = 2;
  KnownPod older = MakeKnown(workloads[0], "older");
  older.created_at = 1;
  pods = {younger, older};
  const NodePlan plan = Plan();
  ASSERT_THAT(plan.stops, SizeIs(1));
  EXPECT_EQ(plan.stops[0].uid, "younger");
  EXPECT_EQ(plan.decisions[0].pod_uid, "older");
}

// OF-08: a source that was not read yet never means "delete".
TEST_F(NodePlanTest, NothingIsStoppedBeforeTheSourcesAreComplete) {
  KnownPod orphan{.uid = "p", .owner_uid = "gone"};
  pods = {orphan};
  EXPECT_THAT(Plan(false).stops, IsEmpty());
  const NodePlan plan = Plan(true);
  ASSERT_THAT(plan.stops, SizeIs(1));
  EXPECT_EQ(plan.stops[0].reason, "no manifest asks for it any more");
}

// PL-14
TEST_F(NodePlanTest, APodWithoutRoomWaitsAndStartsWhenRoomAppears) {
  workloads = {MakeWorkload("a"), MakeWorkload("b")};
  RequestCpu(workloads[0], "1500m");
  RequestCpu(workloads[1], "1");
  pods = {MakeKnown(workloads[0], "p")};
  NodePlan plan = Plan();
  EXPECT_THAT(plan.starts, IsEmpty());
  EXPECT_EQ(plan.decisions[1].admission.reason, "OutOfcpu");
  pods.clear();
  workloads.erase(workloads.begin());
  plan = Plan();
  EXPECT_THAT(plan.starts, SizeIs(1));
}

TEST_F(NodePlanTest, RoomGoesToTheHigherPriorityFirst) {
  workloads = {MakeWorkload("a"), MakeWorkload("b")};
  RequestCpu(workloads[0], "1500m");
  RequestCpu(workloads[1], "1500m");
  workloads[1].next_pod.mutable_spec()->set_priority(1000);
  const NodePlan plan = Plan();
  ASSERT_THAT(plan.starts, SizeIs(1));
  EXPECT_EQ(plan.starts[0].workload, 1u);
}

// PL-09: a pod that ended holds nothing.
TEST_F(NodePlanTest, TerminalPodsHoldNoResources) {
  workloads = {MakeWorkload("a"), MakeWorkload("b")};
  RequestCpu(workloads[0], "2");
  RequestCpu(workloads[1], "2");
  KnownPod ended = MakeKnown(workloads[0], "p");
  ended.terminal = true;
  pods = {ended};
  EXPECT_THAT(Plan().starts, SizeIs(1));
}

}  // namespace
}  // namespace daemonsetd::decide
