// What a probe's results mean for its container. Pure. Rules: pkg/kubelet/prober (worker.go, prober_manager.go).
// Everything is known per container ID, never per name: the next life of a container starts with nothing (PB-04).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/decide/pod_memory.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

std::string_view ToString(ProbeRole role);  // "Startup", "Liveness", "Readiness", as Events say it

// Null when the container has no such probe.
const corev1::Probe* ProbeOf(const corev1::Container& container, ProbeRole role);

// `instance`: null when nothing is known of this container ID.
// Its postStart hook is done and its startup probe, if any, has succeeded.
bool IsStarted(const corev1::Container& container, const InstanceMemory* instance);
// Started, and its readiness probe, if any, last said so. No result yet means no (PB-02).
bool IsReady(const corev1::Container& container, const InstanceMemory* instance);

// Whether a running container is to be probed now. Startup only until it has started; the others only afterwards.
// Startup and liveness end with the pod (PB-05), readiness goes on until the container is gone (PB-06).
bool ShouldProbe(const corev1::Container& container, ProbeRole role, const InstanceMemory* instance, bool terminating);

// Counts one result in. True when that changed what IsStarted, IsReady or `instance.kill` say.
// A probe that failed often enough for the container to die fills `instance.kill`.
bool ApplyProbeResult(const corev1::Pod& pod, const corev1::Container& container, ProbeRole role, bool success,
                      InstanceMemory& instance);

// How long after `age` (the container's, on the wall clock) the first probe is due. An adopted container's probes are
// spread over their period by its ID, so that a restart of the agent is no burst.
Nanoseconds FirstProbeDelay(const corev1::Probe& probe, Nanoseconds age, bool adopted, std::string_view container_id);

}  // namespace daemonsetd::decide
