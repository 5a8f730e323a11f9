// Whom a probe or hook asks: one container of a pod, at the pod's address.
#pragma once

#include <string>

#include "agent/pods/pod_services.h"
#include "agent/pods/probes/prober.h"

namespace daemonsetd::pods {

ProbeTarget TargetOf(const PodServices& services, const corev1::Pod& pod, const corev1::Container& container,
                     const std::string& container_id);

}  // namespace daemonsetd::pods
