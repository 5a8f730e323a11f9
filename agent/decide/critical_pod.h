// Which pods a node keeps whatever it lacks, in the kubelet's words (pkg/kubelet/types IsCriticalPod). Pure.
#pragma once

#include <cstdint>

#include "agent/decide/mirror_pod.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

inline constexpr std::int32_t kSystemCriticalPriority = 2'000'000'000;  // scheduling.SystemCriticalPriority
inline constexpr std::int32_t kNodeCriticalPriority = 2'000'001'000;    // of the class system-node-critical

// An API server's admission writes the number. In a manifest nobody did, so the two classes that every cluster has
// stand for theirs.
inline std::int32_t PriorityOf(const corev1::PodSpec& spec) {
  if (spec.has_priority()) return spec.priority();
  if (spec.priorityclassname() == "system-node-critical") return kNodeCriticalPriority;
  return spec.priorityclassname() == "system-cluster-critical" ? kSystemCriticalPriority : 0;
}

// `is_static`: from a Pod manifest of this node. The pods of a manifest's DaemonSet are none.
inline bool IsCriticalPod(const corev1::Pod& pod, bool is_static) {
  return is_static || IsMirrorPod(pod) || PriorityOf(pod.spec()) >= kSystemCriticalPriority;
}

}  // namespace daemonsetd::decide
