// How often the runtime is asked, how long it takes and how often it fails: the kubelet's kubelet_runtime_operations_*
// under our name, by CRI method.
#pragma once

#include <string_view>

#include "agent/base/time_point.h"
#include "agent/local/metrics.h"

namespace daemonsetd {

class RuntimeMetrics {
 public:
  // `registry` must outlive it.
  explicit RuntimeMetrics(local::Registry& registry);

  void Observe(std::string_view method, Nanoseconds took, bool succeeded);

 private:
  local::Family<local::Counter>& calls_;
  local::Family<local::Counter>& errors_;
  local::Family<local::Histogram>& durations_;
};

}  // namespace daemonsetd
