// What a kubelet's qos and pod container managers, and its ResourceConfigForPod, answer for the same pods.
#include "agent/decide/pod_cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr char kUid[] = "0f3c-11aa";

CgroupLimits LimitsOf(const std::string& spec, std::int64_t pids = -1) {
  return PodCgroupLimits(FromYaml<corev1::PodSpec>(spec), pids);
}

TEST(PodCgroup, HasTheKubeletsPaths) {
  EXPECT_EQ(CgroupfsPath(PodCgroup("/", QosClass::kGuaranteed, kUid)), "/kubepods/pod0f3c-11aa");
  EXPECT_EQ(CgroupfsPath(PodCgroup("", QosClass::kBurstable, kUid)), "/kubepods/burstable/pod0f3c-11aa");
  EXPECT_EQ(CgroupfsPath(PodCgroup("/edge/node-a/", QosClass::kBestEffort, kUid)),
            "/edge/node-a/kubepods/besteffort/pod0f3c-11aa");
}

TEST(PodCgroup, HasTheKubeletsSlices) {
  const CgroupName burstable = PodCgroup("/", QosClass::kBurstable, kUid);
  EXPECT_EQ(SliceName(burstable), "kubepods-burstable-pod0f3c_11aa.slice");
  EXPECT_EQ(SlicePath(burstable), "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f3c_11aa.slice");
  EXPECT_EQ(SlicePath(PodCgroup("/", QosClass::kGuaranteed, kUid)), "/kubepods.slice/kubepods-pod0f3c_11aa.slice");
  EXPECT_EQ(SliceName(PodCgroup("/edge/node-a", QosClass::kBestEffort, kUid)),
            "edge-node_a-kubepods-besteffort-pod0f3c_11aa.slice");
}

TEST(PodCgroup, LiesInTheSliceThatTheRootNames) {
  EXPECT_EQ(SlicePath(KubepodsCgroup("/edge.slice/edge-a.slice")), "/edge.slice/edge-a.slice/edge-a-kubepods.slice");
  EXPECT_EQ(CgroupfsPath(KubepodsCgroup("/edge.slice")), "/edge.slice/kubepods");
}

TEST(PodCgroup, IsKnownByItsDirectory) {
  EXPECT_EQ(UidOfCgroupfs("pod0f3c-11aa"), kUid);
  EXPECT_EQ(UidOfCgroupfs("pod"), std::nullopt);
  EXPECT_EQ(UidOfCgroupfs("burstable"), std::nullopt);
  EXPECT_EQ(UidOfCgroupfs("pod0f3c.scope"), std::nullopt);
  const CgroupName burstable = QosCgroup("/", QosClass::kBurstable);
  EXPECT_EQ(UidOfSlice("kubepods-burstable-pod0f3c_11aa.slice", burstable), kUid);
  EXPECT_EQ(UidOfSlice("kubepods-burstable.slice", burstable), std::nullopt);
  EXPECT_EQ(UidOfSlice("kubepods-burstable-pod0f3c_11aa-below.slice", burstable), std::nullopt);
  EXPECT_EQ(UidOfSlice("kubepods-burstable-pod0f3c_11aa.slice", QosCgroup("/", QosClass::kGuaranteed)), std::nullopt);
}

TEST(PodCgroupLimits, OfBestEffortAreTheLeastShares) {
  const CgroupLimits limits = LimitsOf("containers: [{name: a}]");
  EXPECT_EQ(limits.cpu_shares, 2);
  EXPECT_EQ(limits.cpu_quota, std::nullopt);
  EXPECT_EQ(limits.memory, std::nullopt);
  EXPECT_EQ(limits.pids, std::nullopt);
}

TEST(PodCgroupLimits, OfGuaranteedAreItsLimits) {
  const CgroupLimits limits = LimitsOf(R"(
containers:
- {name: a, resources: {requests: {cpu: 100m, memory: 100Mi}, limits: {cpu: 100m, memory: 100Mi}}})");
  EXPECT_EQ(limits.cpu_shares, 102);
  EXPECT_EQ(limits.cpu_quota, 10'000);
  EXPECT_EQ(limits.cpu_period, 100'000);
  EXPECT_EQ(limits.memory, 100LL << 20);
}

TEST(PodCgroupLimits, AddUpWhereEveryContainerHasThem) {
  const CgroupLimits limits = LimitsOf(R"(
containers:
- {name: a, resources: {requests: {cpu: 100m, memory: 100Mi}, limits: {cpu: 200m, memory: 200Mi}}}
- {name: b, resources: {requests: {cpu: 100m, memory: 100Mi}, limits: {cpu: 200m, memory: 200Mi}}})");
  EXPECT_EQ(limits.cpu_shares, 204);
  EXPECT_EQ(limits.cpu_quota, 40'000);
  EXPECT_EQ(limits.memory, 400LL << 20);
}

// Each limit by itself: one that is missing somewhere cannot bound the whole pod.
TEST(PodCgroupLimits, AreNoneWhereAContainerHasNone) {
  const CgroupLimits cpu_alone = LimitsOf(R"(
containers:
- {name: a, resources: {requests: {cpu: 100m}, limits: {cpu: 200m, memory: 200Mi}}}
- {name: b, resources: {limits: {cpu: 200m}}})");
  EXPECT_EQ(cpu_alone.cpu_quota, 40'000);
  EXPECT_EQ(cpu_alone.memory, std::nullopt);
  const CgroupLimits init_without = LimitsOf(R"(
initContainers: [{name: i}]
containers: [{name: a, resources: {limits: {cpu: 200m, memory: 200Mi}}}])");
  EXPECT_EQ(init_without.cpu_quota, std::nullopt);
  EXPECT_EQ(init_without.memory, std::nullopt);
  EXPECT_EQ(init_without.cpu_shares, 204);
}

TEST(PodCgroupLimits, OfThePodWin) {
  const CgroupLimits limits = LimitsOf(R"(
resources: {requests: {cpu: 1}, limits: {cpu: 2, memory: 1Gi}}
containers:
- {name: a, resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}}
- {name: b})");
  EXPECT_EQ(limits.cpu_shares, 1024);
  EXPECT_EQ(limits.cpu_quota, 200'000);
  EXPECT_EQ(limits.memory, 1LL << 30);
}

TEST(PodCgroupLimits, HaveTheOverheadAdded) {
  const CgroupLimits limits = LimitsOf(R"(
overhead: {cpu: 250m, memory: 64Mi}
containers: [{name: a, resources: {requests: {cpu: 750m}, limits: {cpu: 1, memory: 100Mi}}}])");
  EXPECT_EQ(limits.cpu_shares, 1024);
  EXPECT_EQ(limits.cpu_quota, 125'000);
  EXPECT_EQ(limits.memory, 164LL << 20);
}

TEST(PodCgroupLimits, KeepToWhatTheKernelTakes) {
  const CgroupLimits least = LimitsOf("containers: [{name: a, resources: {limits: {cpu: 1m, memory: 1}}}]");
  EXPECT_EQ(least.cpu_shares, 2);
  EXPECT_EQ(least.cpu_quota, 1'000);
  const CgroupLimits most = LimitsOf("containers: [{name: a, resources: {requests: {cpu: 5000}}}]");
  EXPECT_EQ(most.cpu_shares, 262'144);
  EXPECT_GT(LimitsOf("containers: [{name: a, resources: {limits: {cpu: 5000000}}}]").cpu_quota, 0);
}

TEST(PodCgroupLimits, CountHugePagesByTheKernelsNames) {
  const CgroupLimits limits = LimitsOf(R"(
containers:
- {name: a, resources: {requests: {cpu: 1}, limits: {hugepages-2Mi: 4Mi, hugepages-1Gi: 1Gi}}}
- {name: b, resources: {limits: {hugepages-2Mi: 2Mi}}})");
  EXPECT_TRUE(limits.complete);
  EXPECT_THAT(limits.hugepages, UnorderedElementsAre(Pair("2MB", 6LL << 20), Pair("1GB", 1LL << 30)));
}

TEST(PodCgroupLimits, HaveThePodsShareOfProcesses) {
  EXPECT_EQ(LimitsOf("containers: [{name: a}]", 100).pids, 100);
  EXPECT_EQ(LimitsOf("containers: [{name: a}]", 0).pids, std::nullopt);
}

TEST(PodCgroupLimits, AreRaisedBeforeAnyIsLowered) {
  const CgroupLimits present{.cpu_quota = 40'000, .memory = 1LL << 20};
  const CgroupLimits between = AtLeast({.cpu_shares = 5, .cpu_quota = 20'000, .memory = 2LL << 20}, present);
  EXPECT_EQ(between.cpu_quota, 40'000);
  EXPECT_EQ(between.memory, 2LL << 20);
  EXPECT_EQ(between.cpu_shares, 5);
  EXPECT_EQ(AtLeast({.cpu_quota = 20'000}, {}).cpu_quota, std::nullopt) << "no limit is the highest";
  EXPECT_EQ(AtLeast({}, present).memory, std::nullopt);
}

TEST(QosLevels, HaveSharesByWhatTheirPodsRequest) {
  EXPECT_EQ(BurstableMilliCpu(FromYaml<corev1::PodSpec>("containers: [{name: a, resources: {requests: {cpu: 300m}}}]")),
            300);
  EXPECT_EQ(BurstableMilliCpu(
                FromYaml<corev1::PodSpec>("containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]")),
            0)
      << "a Guaranteed pod stands beside the class";
  EXPECT_EQ(LevelLimits(1500).cpu_shares, 1536);
  EXPECT_EQ(LevelLimits(0).cpu_shares, 2);
  EXPECT_EQ(BestEffortLevelLimits().cpu_shares, 2);
  EXPECT_FALSE(LevelLimits(1).complete) << "other agents may have limits there";
}

TEST(CpuWeight, IsTheKubelets) {
  EXPECT_EQ(CpuWeight(0), 1);
  EXPECT_EQ(CpuWeight(2), 1);
  EXPECT_EQ(CpuWeight(1024), 39);
  EXPECT_EQ(CpuWeight(2048), 79);
  EXPECT_EQ(CpuWeight(262'143), 9'999);
  EXPECT_EQ(CpuWeight(262'144), 10'000);
  EXPECT_EQ(CpuWeight(1'000'000), 10'000);
}

TEST(SliceProperties, AreNamedByTheVersion) {
  CgroupLimits limits = LimitsOf("containers: [{name: a, resources: {limits: {cpu: 125m, memory: 100Mi}}}]", 50);
  EXPECT_THAT(SlicePropertiesOf(limits, true), ElementsAre(Pair("CPUWeight", 5), Pair("CPUQuotaPerSecUSec", 130'000),
                                                           Pair("MemoryMax", 100ULL << 20), Pair("TasksMax", 50)));
  EXPECT_THAT(SlicePropertiesOf(limits, false), ElementsAre(Pair("CPUShares", 128), Pair("CPUQuotaPerSecUSec", 130'000),
                                                            Pair("MemoryLimit", 100ULL << 20), Pair("TasksMax", 50)));
}

TEST(SliceProperties, SayWhatIsWithoutLimit) {
  EXPECT_THAT(SlicePropertiesOf(LimitsOf("containers: [{name: a}]"), true),
              ElementsAre(Pair("CPUWeight", 1), Pair("CPUQuotaPerSecUSec", UINT64_MAX), Pair("MemoryMax", UINT64_MAX),
                          Pair("TasksMax", UINT64_MAX)));
  EXPECT_THAT(SlicePropertiesOf(LevelLimits(0), true), ElementsAre(Pair("CPUWeight", 1)));
}

}  // namespace
}  // namespace daemonsetd::decide
