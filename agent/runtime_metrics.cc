#include "agent/runtime_metrics.h"

#include <chrono>
#include <string>

namespace daemonsetd {

RuntimeMetrics::RuntimeMetrics(local::Registry& registry)
    : calls_(registry.AddCounters("daemonsetd_runtime_operations_total", "Calls to the container runtime, by method.")),
      errors_(registry.AddCounters("daemonsetd_runtime_operations_errors_total",
                                   "Calls to the container runtime that failed, by method.")),
      durations_(registry.AddHistograms("daemonsetd_runtime_operations_duration_seconds",
                                        "How long calls to the container runtime took, by method.",
                                        local::LatencyBounds())) {}

void RuntimeMetrics::Observe(std::string_view method, Nanoseconds took, bool succeeded) {
  const local::Labels labels = {{"operation_type", std::string(method)}};
  calls_.With(labels).Add();
  durations_.With(labels).Observe(std::chrono::duration<double>(took).count());
  if (!succeeded) errors_.With(labels).Add();
}

}  // namespace daemonsetd
