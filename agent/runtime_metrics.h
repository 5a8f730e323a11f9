// How often the runtime is asked, how long it takes and how often it fails: the kubelet's kubelet_runtime_operations_*,
// kubelet_image_pull_*, kubelet_pleg_relist_* and kubelet_cgroup_manager_duration_seconds under our name.
#pragma once

#include <optional>
#include <string_view>

#include "agent/base/time_point.h"
#include "agent/local/metrics.h"

namespace daemonsetd {

class RuntimeMetrics {
 public:
  // `registry` must outlive it.
  explicit RuntimeMetrics(local::Registry& registry);

  // One call, by its CRI method.
  void Observe(std::string_view method, Nanoseconds took, bool succeeded);
  // One list of everything, as pods::RuntimeView tells it.
  void Listed(Nanoseconds took, std::optional<Nanoseconds> interval);
  // Control groups were made, changed or removed: "create", "update", "destroy".
  void GroupsChanged(std::string_view operation, Nanoseconds took);

 private:
  local::Family<local::Counter>& calls_;
  local::Family<local::Counter>& errors_;
  local::Family<local::Histogram>& durations_;
  local::Histogram& pulls_;
  local::Histogram& lists_;
  local::Histogram& list_intervals_;
  local::Family<local::Histogram>& groups_;
};

}  // namespace daemonsetd
