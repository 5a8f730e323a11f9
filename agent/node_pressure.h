// What this node does when memory, disk or PIDs run out: sees it, says so in its conditions, and brings itself back.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "agent/local/metrics.h"
#include "agent/node/pressure_monitor.h"
#include "agent/pods/eviction/evictor.h"

namespace daemonsetd {

struct NodePressureSettings {
  decide::PressureThresholds thresholds;
  Seconds most_grace{0};  // evictionMaxPodGracePeriod
};

class NodePressure {
 public:
  // `on_change`: a condition begins or ends.
  NodePressure(pods::PodServices& services, pods::PodWorkers& workers, cri::Runtime& image_service,
               local::Registry& registry, NodePressureSettings settings,
               std::function<Task<Result<std::uint64_t>>()> remove_unused_images, std::function<void()> on_change);

  // Until cancelled.
  Task<void> Run();

  node::PressureMonitor& monitor() { return monitor_; }
  // The Node's, with the transition times of `last_written` where nothing changed.
  std::vector<corev1::NodeCondition> Conditions(const corev1::NodeStatus& last_written) const;

 private:
  pods::Evictor::Ports EvictorPorts(pods::PodWorkers& workers,
                                    std::function<Task<Result<std::uint64_t>>()> remove_unused_images);
  void Looked();

  pods::PodServices& services_;
  const std::function<void()> on_change_;
  local::Family<local::Counter>& evictions_;
  node::PressureMonitor monitor_;
  pods::Evictor evictor_;
  std::vector<corev1::NodeCondition> conditions_;  // as of the last look
};

}  // namespace daemonsetd
