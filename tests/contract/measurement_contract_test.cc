// What tells of running containers and changes them: events, stats, resources, the runtime's configuration.
#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <vector>

#include <gmock/gmock.h>

#include "tests/contract/runtime_contract.h"

namespace daemonsetd {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr std::pair kFirstWithEvents{1, 7};
constexpr std::pair kFirstWithRuntimeConfig{2, 0};

TEST_P(RuntimeContract, RuntimeConfigTellsTheCgroupDriverOrIsUnsupported) {
  const auto config = Run(runtime_->RuntimeConfig(kCallTimeout));
  if (ContainerdVersion() < kFirstWithRuntimeConfig) {
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().kind(), ErrorKind::kUnsupported) << config.error().message();
    return;
  }
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_TRUE(config->has_linux());
  EXPECT_EQ(config->linux().cgroup_driver(), v1::CGROUPFS);
}

// Events

struct SeenEvents {
  std::vector<v1::ContainerEventType> Of(const std::string& id) const {
    std::vector<v1::ContainerEventType> types;
    for (const auto& event : events) {
      if (event.container_id() == id) types.push_back(event.container_event_type());
    }
    return types;
  }
  bool Has(const std::string& id, v1::ContainerEventType type) const {
    const auto types = Of(id);
    return std::find(types.begin(), types.end(), type) != types.end();
  }
  cri::Runtime::EventHandler Handler() {
    return [this](const v1::ContainerEventResponse& event) { events.push_back(event); };
  }

  std::vector<v1::ContainerEventResponse> events;
};

TEST_P(RuntimeContract, EventsTellEachStepOfALifeOrAreUnsupported) {
  SeenEvents seen;
  const auto stream = loop_.Start(runtime_->ContainerEvents(seen.Handler()));
  Pause(milliseconds(300));
  if (ContainerdVersion() < kFirstWithEvents) {
    ASSERT_TRUE(stream->done()) << "an old runtime says at once that it has no events";
    EXPECT_EQ(stream->value->error().kind(), ErrorKind::kUnsupported) << stream->value->error().message();
    return;
  }
  const std::string sandbox = RunSandbox("pod");
  const std::string container = Start(sandbox, "pod", Succeeds());
  EXPECT_TRUE(Eventually([&] { return seen.Has(container, v1::CONTAINER_STOPPED_EVENT); }));
  EXPECT_EQ(StatusOf(container).state(), v1::CONTAINER_EXITED) << "an event comes after what it tells of";
  EXPECT_TRUE(Run(runtime_->RemoveContainer(container, kCallTimeout)));
  EXPECT_TRUE(Run(runtime_->StopPodSandbox(sandbox, kCallTimeout)));
  EXPECT_TRUE(Run(runtime_->RemovePodSandbox(sandbox, kCallTimeout)));
  EXPECT_TRUE(Eventually([&] { return seen.Has(sandbox, v1::CONTAINER_DELETED_EVENT); }));

  for (const std::string& id : {container, sandbox}) {
    EXPECT_THAT(seen.Of(id), ElementsAre(v1::CONTAINER_CREATED_EVENT, v1::CONTAINER_STARTED_EVENT,
                                         v1::CONTAINER_STOPPED_EVENT, v1::CONTAINER_DELETED_EVENT));
  }
  for (const auto& event : seen.events) {
    if (event.container_id() != container || event.container_event_type() == v1::CONTAINER_DELETED_EVENT) continue;
    EXPECT_EQ(event.pod_sandbox_status().metadata().uid(), uid_ + "pod");
    EXPECT_GT(event.created_at(), 0);
  }
  loop_.Cancel(stream);
  loop_.RunUntil(stream->ended);
  ASSERT_TRUE(stream->value.has_value()) << "a call answers its end; it does not throw";
  EXPECT_EQ(stream->value->error().kind(), ErrorKind::kCancelled) << stream->value->error().message();
}

// LC-13: an agent that comes back asks for a new stream.
TEST_P(RuntimeContract, ASecondStreamOfEventsFollowsACancelledOne) {
  if (ContainerdVersion() < kFirstWithEvents) return;
  for (const char* pod : {"one", "two"}) {
    SeenEvents seen;
    const auto stream = loop_.Start(runtime_->ContainerEvents(seen.Handler()));
    const std::string container = Start(RunSandbox(pod), pod, Succeeds());
    EXPECT_TRUE(Eventually([&] { return seen.Has(container, v1::CONTAINER_STOPPED_EVENT); })) << pod;
    loop_.Cancel(stream);
    loop_.RunUntil(stream->ended);
  }
}

// Stats

TEST_P(RuntimeContract, ReportsStatsOfRunningContainers) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  v1::ContainerStatsFilter filter;
  filter.set_id(id);
  const auto stats = Run(runtime_->ListContainerStats(filter, kCallTimeout));
  ASSERT_TRUE(stats) << stats.error().message();
  ASSERT_THAT(stats->stats(), SizeIs(1));
  EXPECT_EQ(stats->stats(0).attributes().id(), id);
  EXPECT_EQ(stats->stats(0).attributes().metadata().name(), "polite");
  EXPECT_GT(stats->stats(0).cpu().timestamp(), 0);
  EXPECT_GT(stats->stats(0).cpu().usage_core_nano_seconds().value(), 0u);
  EXPECT_GT(stats->stats(0).memory().working_set_bytes().value(), 0u);
}

TEST_P(RuntimeContract, ReportsStatsOfOnePodOnly) {
  const std::string one = RunSandbox("one");
  const std::string first = Start(one, "one", Polite());
  const std::string second = Start(one, "one", Stubborn());
  Start(RunSandbox("two"), "two", Polite());
  v1::ContainerStatsFilter filter;
  filter.set_pod_sandbox_id(one);
  const auto stats = Run(runtime_->ListContainerStats(filter, kCallTimeout));
  ASSERT_TRUE(stats) << stats.error().message();
  std::vector<std::string> ids;
  for (const auto& each : stats->stats()) ids.push_back(each.attributes().id());
  EXPECT_THAT(ids, UnorderedElementsAre(first, second));
}

// Resources

// The kernel's limits of a process, read from its cgroup in whichever version is mounted.
struct KernelLimits {
  std::int64_t memory = 0;  // bytes
  std::int64_t cpu = 0;     // shares (cgroup v1) or weight (v2)
};

std::int64_t NumberIn(const std::filesystem::path& file) {
  std::int64_t number = -1;
  std::ifstream(file) >> number;
  EXPECT_GE(number, 0) << file << " cannot be read";
  return number;
}

KernelLimits LimitsOf(const std::string& pid) {
  std::map<std::string, std::filesystem::path> groups;  // by controller; "" is the unified hierarchy
  std::ifstream lines("/proc/" + pid + "/cgroup");
  for (std::string line; std::getline(lines, line);) {  // "4:cpu,cpuacct:/group"
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    std::istringstream controllers(line.substr(first + 1, second - first - 1));
    const std::string group = line.substr(second + 2);
    if (second == first + 1) groups[""] = std::filesystem::path("/sys/fs/cgroup") / group;
    for (std::string controller; std::getline(controllers, controller, ',');) {
      groups[controller] = std::filesystem::path("/sys/fs/cgroup") / controller / group;
    }
  }
  if (groups.contains("memory")) {
    return {.memory = NumberIn(groups["memory"] / "memory.limit_in_bytes"),
            .cpu = NumberIn(groups["cpu"] / "cpu.shares")};
  }
  return {.memory = NumberIn(groups[""] / "memory.max"), .cpu = NumberIn(groups[""] / "cpu.weight")};
}

TEST_P(RuntimeContract, UpdatesTheResourcesOfARunningContainerInPlace) {
  constexpr std::int64_t kMebibyte = 1 << 20;
  const std::string sandbox = RunSandbox("pod");
  auto request = ContainerRequest(sandbox, "pod", Polite());
  auto* resources = request.mutable_config()->mutable_linux()->mutable_resources();
  resources->set_memory_limit_in_bytes(64 * kMebibyte);
  resources->set_cpu_shares(256);
  const std::string id = Create(std::move(request));
  StartCreated(id);
  const auto before = Run(runtime_->ContainerStatus(id, true, kCallTimeout));
  ASSERT_TRUE(before) << before.error().message();

  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(id);
  update.mutable_linux()->set_memory_limit_in_bytes(128 * kMebibyte);
  update.mutable_linux()->set_cpu_shares(1024);
  std::string pid;
  KernelLimits old_limits;
  if (real()) {
    std::smatch found;
    const std::string info = before->info().at("info");
    ASSERT_TRUE(std::regex_search(info, found, std::regex(R"("pid":\s*(\d+))"))) << info;
    pid = found[1];
    old_limits = LimitsOf(pid);
    EXPECT_EQ(old_limits.memory, 64 * kMebibyte);
  }
  const Status updated = Run(runtime_->UpdateContainerResources(update, kCallTimeout));
  ASSERT_TRUE(updated) << updated.error().message();

  const v1::ContainerStatus after = StatusOf(id);
  EXPECT_EQ(after.state(), v1::CONTAINER_RUNNING);
  EXPECT_EQ(after.started_at(), before->status().started_at()) << "in place means without a restart";
  if (real()) {
    const KernelLimits limits = LimitsOf(pid);
    EXPECT_EQ(limits.memory, 128 * kMebibyte);
    EXPECT_GT(limits.cpu, old_limits.cpu);
  }
  if (ContainerdVersion() >= kFirstWithEvents) {  // which is also the first whose status tells resources
    EXPECT_EQ(after.resources().linux().memory_limit_in_bytes(), 128 * kMebibyte);
    EXPECT_EQ(after.resources().linux().cpu_shares(), 1024);
  }
}

TEST_P(RuntimeContract, UpdatingTheResourcesOfWhatDoesNotExistIsAbsent) {
  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(std::string(64, 'f'));
  update.mutable_linux()->set_cpu_shares(512);
  const Status updated = Run(runtime_->UpdateContainerResources(update, kCallTimeout));
  ASSERT_FALSE(updated);
  EXPECT_EQ(updated.error().kind(), ErrorKind::kAbsent) << updated.error().message();
}

}  // namespace
}  // namespace daemonsetd
