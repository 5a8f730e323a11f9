#include "agent/node_pressure.h"

#include <algorithm>
#include <utility>

#include "agent/async/task_scope.h"
#include "agent/decide/node_conditions.h"

namespace daemonsetd {
namespace {

node::PressureMonitorSettings MonitorSettingsOf(const pods::PodServices& services,
                                                const NodePressureSettings& settings) {
  node::PressureMonitorSettings monitor;
  monitor.pod_root = services.directories.pod_root;
  monitor.thresholds = settings.thresholds;
  return monitor;
}

}  // namespace

NodePressure::NodePressure(pods::PodServices& services, pods::PodWorkers& workers, cri::Runtime& image_service,
                           local::Registry& registry, NodePressureSettings settings,
                           std::function<Task<Result<std::uint64_t>>()> remove_unused_images,
                           std::function<void()> on_change)
    : services_(services),
      on_change_(std::move(on_change)),
      evictions_(
          registry.AddCounters("daemonsetd_evictions", "Pods that were evicted, by what the node or the pod lacked.")),
      monitor_(services.executor, services.timeline, services.blocking, image_service,
               MonitorSettingsOf(services, settings), [this] { Looked(); }),
      evictor_(EvictorPorts(workers, std::move(remove_unused_images)),
               {.thresholds = settings.thresholds, .most_grace = settings.most_grace}) {}

pods::Evictor::Ports NodePressure::EvictorPorts(pods::PodWorkers& workers,
                                                std::function<Task<Result<std::uint64_t>>()> remove_unused_images) {
  return {.services = services_,
          .workers = workers,
          .reading = [this] { return monitor_.reading(); },
          .memory = [this]() -> const decide::PressureMemory& { return monitor_.memory(); },
          .look = [this] { return monitor_.Look(); },
          .remove_unused_images = std::move(remove_unused_images),
          .on_evicted = [this](const std::string& signal) { evictions_.With({{"eviction_signal", signal}}).Add(); }};
}

Task<void> NodePressure::Run() {
  async::TaskScope scope(services_.executor);
  scope.Spawn("pressure", monitor_.Run());
  scope.Spawn("eviction", evictor_.Run());
  co_await scope.HoldUntilCancelled();
}

std::vector<corev1::NodeCondition> NodePressure::Conditions(const corev1::NodeStatus& last_written) const {
  return decide::PressureConditions(monitor_.memory(), monitor_.thresholds(), last_written, services_.timeline.Read());
}

void NodePressure::Looked() {
  std::vector<corev1::NodeCondition> conditions = Conditions({});
  const bool same = std::equal(conditions.begin(), conditions.end(), conditions_.begin(), conditions_.end(),
                               [](const auto& a, const auto& b) { return a.status() == b.status(); });
  conditions_ = std::move(conditions);
  evictor_.Notify();
  if (!same) on_change_();
}

}  // namespace daemonsetd
