#include "agent/decide/resources.h"

#include <gtest/gtest.h>

#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

constexpr std::int64_t kNodeMemory = 16LL << 30;

std::int64_t Milli(const ResourceList& list, const std::string& name) {
  const auto entry = list.find(name);
  return entry == list.end() ? 0 : entry->second.MilliValue();
}

std::int64_t Value(const ResourceList& list, const std::string& name) {
  const auto entry = list.find(name);
  return entry == list.end() ? 0 : entry->second.Value();
}

CgroupValues CgroupOf(const corev1::PodSpec& spec, const std::string& name, std::int64_t node_memory = kNodeMemory) {
  for (const auto* containers : {&spec.containers(), &spec.initcontainers()}) {
    for (const corev1::Container& container : *containers) {
      if (container.name() == name) return ComputeCgroup(spec, container, node_memory);
    }
  }
  ADD_FAILURE() << "no container " << name;
  return {};
}

TEST(Resources, AnswerLikeTheReference) {
  const std::vector<Row> rows = ReadRows("resources.jsonl");
  ASSERT_EQ(rows.size(), 1000u);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.line);
    corev1::PodSpec spec;
    ASSERT_NO_FATAL_FAILURE(DecodeInto(row.at("podSpec"), spec));

    EXPECT_EQ(ToString(ComputeQos(spec)), row.text("qosClass"));
    const auto& containers = row.at("containers").struct_value().fields();
    EXPECT_EQ(static_cast<int>(containers.size()), spec.containers_size());
    for (const auto& [name, expected] : containers) {
      SCOPED_TRACE(name);
      const auto& fields = expected.struct_value().fields();
      const CgroupValues values = CgroupOf(spec, name, static_cast<std::int64_t>(row.number("nodeMemoryBytes")));
      EXPECT_EQ(values.cpu_shares, fields.at("cpuShares").number_value());
      EXPECT_EQ(values.cpu_quota, fields.at("cpuQuota").number_value());
      EXPECT_EQ(values.cpu_period, 100'000);
      EXPECT_EQ(values.memory_limit, fields.at("memoryLimit").number_value());
      EXPECT_EQ(values.oom_score_adj, fields.at("oomScoreAdj").number_value());
    }
    const auto& requests = row.at("podRequests").struct_value().fields();
    EXPECT_EQ(std::to_string(Milli(PodRequests(spec), "cpu")), requests.at("cpuMilli").string_value());
    EXPECT_EQ(std::to_string(Value(PodRequests(spec), "memory")), requests.at("memory").string_value());
    const auto& limits = row.at("podLimits").struct_value().fields();
    EXPECT_EQ(std::to_string(Milli(PodLimits(spec), "cpu")), limits.at("cpuMilli").string_value());
    EXPECT_EQ(std::to_string(Value(PodLimits(spec), "memory")), limits.at("memory").string_value());
  }
}

TEST(Resources, SidecarScoresLikeTheSmallestContainerAtMost) {
  const auto spec = FromYaml<corev1::PodSpec>(R"(
containers:
- {name: small, resources: {requests: {memory: 4Gi}}}
- {name: large, resources: {requests: {memory: 8Gi}}}
initContainers:
- {name: light, restartPolicy: Always, resources: {requests: {memory: 1Gi}}}
- {name: heavy, restartPolicy: Always, resources: {requests: {memory: 6Gi}}}
- {name: setup, resources: {requests: {memory: 1Gi}}}
)");
  EXPECT_EQ(CgroupOf(spec, "small").oom_score_adj, 750);
  EXPECT_EQ(CgroupOf(spec, "large").oom_score_adj, 500);
  EXPECT_EQ(CgroupOf(spec, "light").oom_score_adj, 750);
  EXPECT_EQ(CgroupOf(spec, "heavy").oom_score_adj, 625);
  EXPECT_EQ(CgroupOf(spec, "setup").oom_score_adj, 938);
}

TEST(Resources, NodeCriticalPodIsKilledLast) {
  const auto spec = FromYaml<corev1::PodSpec>("{priorityClassName: system-node-critical, containers: [{name: a}]}");
  EXPECT_EQ(CgroupOf(spec, "a").oom_score_adj, -997);
}

TEST(Resources, UnknownNodeMemoryScoresLikeTheSmallestRequest) {
  const auto spec = FromYaml<corev1::PodSpec>("containers: [{name: a, resources: {requests: {memory: 1Gi}}}]");
  EXPECT_EQ(CgroupOf(spec, "a", 0).oom_score_adj, 999);
}

TEST(Resources, HugeQuantitiesSaturate) {
  const auto spec = FromYaml<corev1::PodSpec>(R"(
containers: [{name: a, resources: {requests: {memory: 8Ei}, limits: {cpu: 9e15, memory: 9E}}}]
)");
  const CgroupValues values = CgroupOf(spec, "a");
  EXPECT_EQ(values.cpu_shares, 262'144);
  EXPECT_GT(values.cpu_quota, 0);
  EXPECT_EQ(values.oom_score_adj, 3);
}

TEST(Resources, PodLevelResourcesDecideForTheWholePod) {
  const auto spec = FromYaml<corev1::PodSpec>(R"(
resources: {requests: {cpu: "1", memory: 4Gi}, limits: {cpu: "1", memory: 4Gi}}
containers:
- {name: a, resources: {requests: {memory: 1Gi}}}
- {name: b}
)");
  EXPECT_EQ(ComputeQos(spec), QosClass::kGuaranteed);
  EXPECT_EQ(Milli(PodRequests(spec), "cpu"), 1000);
  EXPECT_EQ(Value(PodLimits(spec), "memory"), 4LL << 30);
  EXPECT_EQ(CgroupOf(spec, "b").memory_limit, 4LL << 30) << "no limit of its own: the pod's";
}

TEST(Resources, PodLevelMemoryBeyondTheContainersIsSharedForTheOomScore) {
  const auto spec = FromYaml<corev1::PodSpec>(R"(
resources: {requests: {memory: 5Gi}}
containers:
- {name: a, resources: {requests: {memory: 1Gi}}}
- {name: b}
)");
  EXPECT_EQ(ComputeQos(spec), QosClass::kBurstable);
  EXPECT_EQ(CgroupOf(spec, "a").oom_score_adj, 1000 - 187);
  EXPECT_EQ(CgroupOf(spec, "b").oom_score_adj, 1000 - 125);
}

TEST(Resources, PodLevelRequestsDefaultToContainersThenLimits) {
  const auto spec = FromYaml<corev1::PodSpec>(R"(
resources: {limits: {cpu: "2", memory: 4Gi}}
containers: [{name: a, resources: {requests: {cpu: 500m}}}]
)");
  EXPECT_EQ(Milli(PodRequests(spec), "cpu"), 500);
  EXPECT_EQ(Value(PodRequests(spec), "memory"), 4LL << 30);
}

TEST(Resources, ExtendedResourcesAreSummedToo) {
  const auto spec = FromYaml<corev1::PodSpec>(R"(
containers:
- {name: a, resources: {limits: {example.com/gpu: 2}}}
- {name: b, resources: {limits: {example.com/gpu: 1, hugepages-2Mi: 4Mi}}}
initContainers: [{name: i, resources: {limits: {example.com/gpu: 5}}}]
)");
  EXPECT_EQ(Value(PodRequests(spec), "example.com/gpu"), 5);
  EXPECT_EQ(Value(PodRequests(spec), "hugepages-2Mi"), 4LL << 20);
  EXPECT_EQ(ComputeQos(spec), QosClass::kBestEffort) << "only cpu and memory make a class";
}

::runtime::v1::LinuxContainerResources Runtime(std::int64_t shares, std::int64_t quota, std::int64_t memory) {
  ::runtime::v1::LinuxContainerResources runtime;
  runtime.set_cpu_shares(shares);
  runtime.set_cpu_quota(quota);
  runtime.set_cpu_period(100'000);
  runtime.set_memory_limit_in_bytes(memory);
  return runtime;
}

TEST(Resources, TheRuntimeTellsWhatAContainerReallyHas) {
  corev1::ResourceRequirements wanted;
  const auto actual = [&wanted](std::int64_t shares, std::int64_t quota, std::int64_t memory) {
    const corev1::ResourceRequirements found = ActualResources(wanted, Runtime(shares, quota, memory));
    std::map<std::string, std::string> texts;
    for (const auto& [name, amount] : found.requests()) texts["requests." + name] = amount.string();
    for (const auto& [name, amount] : found.limits()) texts["limits." + name] = amount.string();
    return texts;
  };
  using Texts = std::map<std::string, std::string>;
  EXPECT_EQ(actual(512, 50'000, 1 << 20), Texts()) << "what was not asked for is not told";
  (*wanted.mutable_requests())["cpu"].set_string("10m");
  (*wanted.mutable_requests())["memory"].set_string("1Mi");
  (*wanted.mutable_limits())["cpu"].set_string("1");
  const Texts as_wanted = {{"requests.cpu", "10m"}, {"requests.memory", "1Mi"}, {"limits.cpu", "1"}};
  EXPECT_EQ(actual(10, 100'000, 0), as_wanted) << "shares are rounded";
  EXPECT_EQ(actual(0, -1, 0), as_wanted) << "the runtime tells nothing";
  EXPECT_EQ(
      actual(512, 50'000, 64 << 20),
      (Texts{{"requests.cpu", "500m"}, {"requests.memory", "1Mi"}, {"limits.cpu", "500m"}, {"limits.memory", "64Mi"}}));
  // The smallest that there is stands for everything below it.
  (*wanted.mutable_requests())["cpu"].set_string("1m");
  (*wanted.mutable_limits())["cpu"].set_string("5m");
  EXPECT_EQ(actual(2, 1'000, 0), (Texts{{"requests.cpu", "1m"}, {"requests.memory", "1Mi"}, {"limits.cpu", "5m"}}));
}

}  // namespace
}  // namespace daemonsetd::decide
