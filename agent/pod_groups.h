// The control groups of pods, put together for this machine.
#pragma once

#include <memory>

#include "agent/config/config.h"
#include "agent/pods/cgroups/pod_cgroups.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd {

std::unique_ptr<pods::PodCgroups> MakePodCgroups(pods::PodCgroups::Ports ports, const config::Message& config);

// What the burstable pods of this node request together.
std::int64_t BurstableMilliCpu(const pods::PodWorkers& workers);
std::int64_t AllocatableMilliCpu(const corev1::Node& node);

}  // namespace daemonsetd
