// Is there room for this pod on the node now? Its node selector and affinity, the node's pressure, resources and host
// ports, which a scheduler and a kubelet would check. A kubelet fails a pod that comes while its node is under
// pressure; here it waits, as one that lacks resources does. Asked only before a pod starts: a running pod is never
// judged again (adoption skips admission).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// The pod asks for another node: no room would help.
inline constexpr char kNodeAffinityReason[] = "NodeAffinity";
// The node is under pressure and takes no such pod until that is over: no room would help either.
inline constexpr char kNodePressureReason[] = "NodePressure";

struct Admission {
  bool admitted = false;
  std::string
      reason;  // Kubernetes' word: kNodeAffinityReason, "OutOfcpu", "OutOfmemory", "OutOfpods", "NodePorts", ...
  std::string message;  // "needs cpu 500m, free 200m of 2", "host port 9100/TCP is taken by kube-system/other"
};

// `others`: the non-terminal pods that hold resources here, without `pod` itself and without the predecessor that it
// replaces. `is_static`: from a Pod manifest of this node. A port conflicts when port and protocol are equal and the
// host IPs are equal or one is unset/0.0.0.0/::.
Admission Admit(const corev1::Pod& pod, const corev1::Node& node, const std::vector<const corev1::Pod*>& others,
                bool is_static = false);

}  // namespace daemonsetd::decide
