#include "agent/decide/eviction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kMi = 1 << 20;

// A pod of one container "c".
corev1::Pod PodOf(const std::string& name, const std::string& resources = "{}", const std::string& more = "") {
  auto pod = FromYaml<corev1::Pod>("spec: {containers: [{name: c, resources: " + resources + "}]" + more + "}");
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("default");
  return pod;
}

PodUse Memory(std::uint64_t mebibytes) {
  return {.containers = {{.name = "c", .memory = mebibytes * kMi}}, .memory = mebibytes * kMi};
}
PodUse Disk(std::uint64_t root, std::uint64_t logs, std::uint64_t volumes) {
  const auto use = [](std::uint64_t mebibytes) { return DiskUse{.bytes = mebibytes * kMi, .inodes = mebibytes}; };
  return {.containers = {{.name = "c", .root = use(root), .logs = use(logs)}},
          .root = use(root),
          .logs = use(logs),
          .volumes = use(volumes),
          .empty_dirs = {{"v", use(volumes)}}};
}

class EvictionTest : public ::testing::Test {
 protected:
  void Add(corev1::Pod pod, PodUse use, bool is_static = false) {
    pods_.push_back(std::make_unique<corev1::Pod>(std::move(pod)));
    candidates.push_back({.pod = pods_.back().get(), .is_static = is_static, .use = std::move(use)});
  }
  std::vector<std::string> Order(EvictionSignal signal, bool one_disk = true) {
    std::vector<std::string> names;
    for (const std::size_t index : EvictionOrder(signal, one_disk, candidates)) {
      names.push_back(candidates.at(index).pod->metadata().name());
    }
    return names;
  }
  std::vector<EvictionCandidate> candidates;

 private:
  std::vector<std::unique_ptr<corev1::Pod>> pods_;
};

TEST_F(EvictionTest, MemoryGoesByRequestThenPriorityThenExcess) {
  const std::string requests = "{requests: {memory: 100Mi}}";
  Add(PodOf("within", requests), Memory(100));
  Add(PodOf("important", "{}", ", priority: 10"), Memory(500));
  Add(PodOf("small"), Memory(5));
  Add(PodOf("above", requests), Memory(150));
  Add(PodOf("large"), Memory(60));
  EXPECT_THAT(Order(EvictionSignal::kMemory), ElementsAre("large", "above", "small", "important", "within"));
}

TEST_F(EvictionTest, DiskGoesByRequestThenPriorityThenUse) {
  Add(PodOf("within", "{requests: {ephemeral-storage: 1Gi}}"), Disk(100, 100, 100));
  Add(PodOf("important", "{}", ", priority: 1"), Disk(0, 900, 0));
  Add(PodOf("logs"), Disk(0, 20, 0));
  Add(PodOf("root"), Disk(50, 0, 0));
  Add(PodOf("volume"), Disk(0, 0, 30));
  EXPECT_THAT(Order(EvictionSignal::kPodDisk), ElementsAre("root", "volume", "logs", "important", "within"));
  EXPECT_THAT(Order(EvictionSignal::kPodDiskInodes), ElementsAre("within", "root", "volume", "logs", "important"));
}

TEST_F(EvictionTest, WhereImagesHaveADiskOfTheirOwnOnlyWhatLiesThereCounts) {
  Add(PodOf("logs"), Disk(1, 20, 0));
  Add(PodOf("root"), Disk(50, 0, 0));
  Add(PodOf("volume"), Disk(2, 0, 30));
  EXPECT_THAT(Order(EvictionSignal::kPodDisk, false), ElementsAre("volume", "logs", "root"));
  EXPECT_THAT(Order(EvictionSignal::kImageDisk, false), ElementsAre("root", "volume", "logs"));
  EXPECT_FALSE(NodeCanReclaim(EvictionSignal::kPodDisk, false));
  EXPECT_TRUE(NodeCanReclaim(EvictionSignal::kPodDisk, true));
  EXPECT_TRUE(NodeCanReclaim(EvictionSignal::kImageDiskInodes, false));
  EXPECT_FALSE(NodeCanReclaim(EvictionSignal::kMemory, true));
}

TEST_F(EvictionTest, PidsGoByPriorityThenProcesses) {
  Add(PodOf("important", "{}", ", priority: 1"), {.processes = 900});
  Add(PodOf("few"), {.processes = 3});
  Add(PodOf("many"), {.processes = 30});
  EXPECT_THAT(Order(EvictionSignal::kPids), ElementsAre("many", "few", "important"));
}

TEST_F(EvictionTest, CriticalPodsStay) {
  Add(PodOf("static"), Memory(100), /*is_static=*/true);
  Add(PodOf("critical", "{}", ", priority: 2000000000"), Memory(100));
  Add(PodOf("classOfAManifest", "{}", ", priorityClassName: system-node-critical"), Memory(100));
  auto mirror = PodOf("mirror");
  (*mirror.mutable_metadata()->mutable_annotations())["kubernetes.io/config.mirror"] = "hash";
  Add(std::move(mirror), Memory(100));
  Add(PodOf("lessThanCritical", "{}", ", priority: 1999999999"), Memory(1));
  EXPECT_THAT(Order(EvictionSignal::kMemory), ElementsAre("lessThanCritical"));
}

TEST_F(EvictionTest, WhatWasNotMeasuredEvictsNobody) {
  Add(PodOf("a"), {});
  PodUse half = Disk(1, 1, 1);
  half.root.reset();
  Add(PodOf("b"), std::move(half));
  EXPECT_THAT(Order(EvictionSignal::kMemory), IsEmpty());
  EXPECT_THAT(Order(EvictionSignal::kPids), IsEmpty());
  EXPECT_THAT(Order(EvictionSignal::kImageDisk, false), IsEmpty());
}

// The runtime measures a new container late, and the new one may be it.
TEST_F(EvictionTest, OfADiskWhatIsKnownCounts) {
  PodUse young = Disk(0, 1, 30);
  young.root.reset();
  Add(PodOf("old"), Disk(20, 1, 1));
  Add(PodOf("young"), std::move(young));
  EXPECT_THAT(Order(EvictionSignal::kPodDisk), ElementsAre("young", "old"));
  EXPECT_THAT(Order(EvictionSignal::kPodDisk, false), ElementsAre("young", "old"));
}

TEST_F(EvictionTest, MessagesAreTheKubelets) {
  const MetThreshold memory{.signal = EvictionSignal::kMemory, .quantity = 100 * kMi, .available = 50 * kMi};
  EXPECT_EQ(EvictionMessage(memory, PodOf("a", "{requests: {memory: 10Mi}}"), Memory(20)),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using "
            "20Mi, request is 10Mi, has larger consumption of memory. ");
  EXPECT_EQ(EvictionMessage(memory, PodOf("a", "{requests: {memory: 30Mi}}"), Memory(20)),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ");
  const MetThreshold disk{.signal = EvictionSignal::kImageDisk, .quantity = 10, .available = 1};
  EXPECT_EQ(EvictionMessage(disk, PodOf("a"), Disk(3, 1, 9)),
            "The node was low on resource: ephemeral-storage. Threshold quantity: 10, available: 1. Container c was "
            "using 4Mi, request is 0, has larger consumption of ephemeral-storage. ");
  const MetThreshold inodes{.signal = EvictionSignal::kPodDiskInodes, .quantity = 12'001, .available = 1};
  EXPECT_EQ(EvictionMessage(inodes, PodOf("a"), Disk(3, 1, 9)),
            "The node was low on resource: inodes. Threshold quantity: 12001, available: 1. ");
}

TEST_F(EvictionTest, OnlySoftThresholdsLeaveTime) {
  const corev1::Pod pod = PodOf("a", "{}", ", terminationGracePeriodSeconds: 20");
  MetThreshold met{.signal = EvictionSignal::kMemory, .hard = true};
  EXPECT_EQ(EvictionGrace(met, Seconds(60), pod), Seconds(1));
  met.hard = false;
  EXPECT_EQ(EvictionGrace(met, Seconds(60), pod), Seconds(20));
  EXPECT_EQ(EvictionGrace(met, Seconds(5), pod), Seconds(5));
  EXPECT_EQ(EvictionGrace(met, Seconds(0), pod), Seconds(1));
}

std::string Exceeded(const corev1::Pod& pod, const PodUse& use, bool one_disk = true) {
  const auto exceeded = FindExceededLimit(pod, use, one_disk);
  return exceeded ? exceeded->signal + ": " + exceeded->message : std::string();
}

TEST_F(EvictionTest, APodGoesForWhatItUsesBeyondItsOwnLimits) {
  const std::string volume = ", volumes: [{name: v, emptyDir: {sizeLimit: 10Mi}}]";
  EXPECT_EQ(Exceeded(PodOf("a", "{}", volume), Disk(0, 0, 10)), "");
  EXPECT_EQ(Exceeded(PodOf("a", "{}", volume), Disk(0, 0, 11)),
            "emptydirfs.limit: Usage of EmptyDir volume \"v\" exceeds the limit \"10Mi\". ");
  EXPECT_EQ(
      Exceeded(PodOf("a", "{}", ", volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 10Mi}}]"), Disk(0, 0, 11)),
      "");
  const corev1::Pod limited = PodOf("a", "{limits: {ephemeral-storage: 10Mi}}");
  EXPECT_EQ(Exceeded(limited, Disk(3, 3, 4)), "");
  EXPECT_EQ(Exceeded(limited, Disk(3, 3, 5)),
            "ephemeralpodfs.limit: Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ");
  EXPECT_FALSE(LimitsItsDisk(PodOf("a")));
  EXPECT_TRUE(LimitsItsDisk(limited));
  EXPECT_TRUE(LimitsItsDisk(PodOf("a", "{}", volume)));
}

TEST_F(EvictionTest, AContainerHasALimitOfItsOwnBesideThePods) {
  corev1::Pod pod = PodOf("a", "{limits: {ephemeral-storage: 10Mi}}");
  corev1::Container& other = *pod.mutable_spec()->add_containers();
  other.set_name("other");
  (*other.mutable_resources()->mutable_limits())["ephemeral-storage"].set_string("1Gi");
  EXPECT_EQ(Exceeded(pod, Disk(6, 5, 0)),
            "ephemeralcontainerfs.limit: Container c exceeded its local ephemeral storage limit \"10Mi\". ");
  EXPECT_EQ(Exceeded(pod, Disk(6, 5, 0), /*one_disk=*/false), "") << "logs are on another disk then";
  PodUse unknown = Disk(6, 5, 0);
  unknown.containers[0].root.reset();
  unknown.root.reset();
  EXPECT_EQ(Exceeded(pod, unknown), "");
}

}  // namespace
}  // namespace daemonsetd::decide
