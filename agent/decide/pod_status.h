// PodStatus as a kubelet would write it: phase, conditions, container states. Pure.
// Rules: pkg/kubelet/kubelet_pods.go (phase, container states), pkg/kubelet/status/generate.go (conditions).
#pragma once

#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/observed.h"
#include "agent/decide/pod_memory.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// Why a container waits that ended and is to start again.
inline constexpr char kCrashLoopReason[] = "CrashLoopBackOff";

struct StatusFacts {
  std::vector<std::string> host_ips;
  WallTime start_time;  // when this agent first accepted the pod
};

// `previous`: the last status of the same pod, whose transition times are kept where nothing changed.
corev1::PodStatus ComputePodStatus(const corev1::Pod& pod, const ObservedPod& observed, const PodMemory& memory,
                                   const corev1::PodStatus& previous, const StatusFacts& facts, Now now);

bool IsReady(const corev1::PodStatus& status);

// The status of a pod of which no more than its end is known, from the last one that was told.
corev1::PodStatus EndedStatus(corev1::PodStatus last, const PodEnd& end, WallTime now);

// kubectl's STATUS column: "Running", "Init:0/2", "CrashLoopBackOff", "Terminating", ...
std::string StatusWord(const corev1::Pod& pod);

}  // namespace daemonsetd::decide
