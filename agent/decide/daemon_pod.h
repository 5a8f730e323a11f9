// The pod that a DaemonSet makes on a node, and the hash of its template. Rules: semantics.md section 4, design.md 4.
#pragma once

#include <cstdint>
#include <string>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// Stable over agent versions: computed over the defaulted template, with unset and default values alike and without
// fields that this agent does not know. 10 characters of the safe alphabet.
std::string TemplateHash(const corev1::PodTemplateSpec& pod_template);

// Hash over the fields that make a container what it is; a change restarts the container. Fixed, versioned list of
// fields: a hash written under another version is never compared (adopt, never restart).
inline constexpr int kSpecHashVersion = 1;
std::string ContainerSpecHash(const corev1::Container& container);

// "<daemon set>-<5 characters>" from (DaemonSet UID, node name, sequence).
std::string DaemonPodName(const appsv1::DaemonSet& daemon_set, const std::string& node_name, std::uint32_t sequence);

// Labels, annotations, owner, tolerations and node affinity as upstream makes them, spec.nodeName set, name as above.
// The UID is derived from the same inputs (a provisional one until the API server gives another).
corev1::Pod MakeDaemonPod(const appsv1::DaemonSet& daemon_set, const std::string& node_name, std::uint32_t sequence);

}  // namespace daemonsetd::decide
