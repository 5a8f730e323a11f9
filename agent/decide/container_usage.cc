#include "agent/decide/container_usage.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "agent/decide/labels.h"
#include "agent/model/quantity.h"

namespace daemonsetd::decide {
namespace {

namespace v1 = ::runtime::v1;

// Billionths of a core; unset when it cannot be told.
std::optional<std::uint64_t> NanoCores(const v1::CpuUsage* before, const v1::CpuUsage& after) {
  if (before != nullptr && before->has_usage_core_nano_seconds() && after.has_usage_core_nano_seconds()) {
    const std::int64_t window = after.timestamp() - before->timestamp();
    const std::uint64_t from = before->usage_core_nano_seconds().value();
    const std::uint64_t to = after.usage_core_nano_seconds().value();
    if (window > 0 && to >= from) {
      return static_cast<std::uint64_t>(static_cast<double>(to - from) / static_cast<double>(window) * 1e9);
    }
  }
  if (after.has_usage_nano_cores()) return after.usage_nano_cores().value();
  return std::nullopt;
}

}  // namespace

v1::ContainerStatsFilter OurContainers() {
  v1::ContainerStatsFilter filter;
  (*filter.mutable_label_selector())[kManagedByLabel] = "true";
  return filter;
}

status::v1::UsageList UsageBetween(const v1::ListContainerStatsResponse& first,
                                   const v1::ListContainerStatsResponse& second) {
  std::map<std::string, const v1::CpuUsage*> before;
  for (const auto& stats : first.stats()) before[stats.attributes().id()] = &stats.cpu();
  std::map<std::pair<std::string, std::string>, status::v1::PodUsage> pods;
  for (const auto& stats : second.stats()) {
    const std::string pod_namespace = ValueOf(stats.attributes().labels(), kPodNamespaceLabel);
    const std::string pod_name = ValueOf(stats.attributes().labels(), kPodNameLabel);
    status::v1::PodUsage& pod = pods[{pod_namespace, pod_name}];
    pod.set_namespace_(pod_namespace);
    pod.set_name(pod_name);
    status::v1::ContainerUsage& usage = *pod.add_containers();
    usage.set_name(ValueOf(stats.attributes().labels(), kContainerNameLabel));
    const auto earlier = before.find(stats.attributes().id());
    const auto cores = NanoCores(earlier == before.end() ? nullptr : earlier->second, stats.cpu());
    if (cores) usage.set_cpu(fmt::format("{}n", *cores));
    if (stats.memory().has_working_set_bytes()) {
      const auto bytes = static_cast<std::int64_t>(stats.memory().working_set_bytes().value());
      usage.set_memory(model::Quantity::FromBytes(bytes).Canonical());
    }
  }
  status::v1::UsageList list;
  for (auto& [name, pod] : pods) {
    std::sort(pod.mutable_containers()->begin(), pod.mutable_containers()->end(),
              [](const auto& a, const auto& b) { return a.name() < b.name(); });
    *list.add_items() = std::move(pod);
  }
  return list;
}

}  // namespace daemonsetd::decide
