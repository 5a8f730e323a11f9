// The control groups of pods, put together for this machine.
#pragma once

#include <functional>
#include <memory>

#include "agent/config/config.h"
#include "agent/pods/cgroups/pod_cgroups.h"
#include "agent/pods/pod_workers.h"
#include "agent/runtime_metrics.h"
#include "cri/runtime_features.h"

namespace daemonsetd {

// What they need to know of the agent. All of it must outlive them.
struct PodGroupSources {
  async::Timeline& timeline;
  async::BlockingPool& blocking;
  const cri::RuntimeFeatures& features;
  const pods::PodWorkers& workers;
  RuntimeMetrics& metrics;
  std::function<const corev1::Node&()> node;
};

std::unique_ptr<pods::PodCgroups> MakePodCgroups(async::Executor executor, PodGroupSources sources,
                                                 const config::Message& config);

}  // namespace daemonsetd
