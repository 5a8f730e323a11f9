#include "agent/runtime_metrics.h"

#include <string>

namespace daemonsetd {

RuntimeMetrics::RuntimeMetrics(local::Registry& registry)
    : calls_(registry.AddCounters("daemonsetd_runtime_operations_total", "Calls to the container runtime, by method.")),
      errors_(registry.AddCounters("daemonsetd_runtime_operations_errors_total",
                                   "Calls to the container runtime that failed, by method.")),
      durations_(registry.AddHistograms("daemonsetd_runtime_operations_duration_seconds",
                                        "How long calls to the container runtime took, by method.",
                                        local::LatencyBounds())),
      pulls_(registry
                 .AddHistograms("daemonsetd_image_pull_duration_seconds",
                                "How long pulls of images took that succeeded.", {1, 5, 10, 30, 60, 180, 600, 1800})
                 .With({})),
      lists_(registry
                 .AddHistograms("daemonsetd_pleg_relist_duration_seconds",
                                "How long it took to list everything that the container runtime has of ours.",
                                local::LatencyBounds())
                 .With({})),
      list_intervals_(registry
                          .AddHistograms("daemonsetd_pleg_relist_interval_seconds",
                                         "Time between two such lists; they are rare while the runtime sends events.",
                                         {0.1, 0.5, 1, 2, 5, 30, 120, 300, 600})
                          .With({})),
      groups_(registry.AddHistograms("daemonsetd_cgroup_manager_duration_seconds",
                                     "How long it took to make, change or remove control groups of pods, by operation.",
                                     local::LatencyBounds())) {}

void RuntimeMetrics::Observe(std::string_view method, Nanoseconds took, bool succeeded) {
  const local::Labels labels = {{"operation_type", std::string(method)}};
  calls_.With(labels).Add();
  durations_.With(labels).Observe(took);
  if (!succeeded) errors_.With(labels).Add();
  if (succeeded && method == "PullImage") pulls_.Observe(took);
}

void RuntimeMetrics::Listed(Nanoseconds took, std::optional<Nanoseconds> interval) {
  lists_.Observe(took);
  if (interval) list_intervals_.Observe(*interval);
}

void RuntimeMetrics::GroupsChanged(std::string_view operation, Nanoseconds took) {
  groups_.With({{"operation_type", std::string(operation)}}).Observe(took);
}

}  // namespace daemonsetd
