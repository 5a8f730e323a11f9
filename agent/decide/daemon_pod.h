// The pod that a DaemonSet makes on a node, and the hash of its template. Rules: semantics.md section 4, design.md 4.
#pragma once

#include <cstdint>
#include <string>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// Stable over agent versions: the same before and after API defaulting, with unset and zero values alike where
// Kubernetes does not tell them apart, and without fields that this agent does not know (canonical.h). 10 characters
// of the safe alphabet.
std::string TemplateHash(const corev1::PodTemplateSpec& pod_template);

// As TemplateHash, but blind to what can change under running containers: cpu and memory of main containers and
// sidecars, as long as the QoS class stays (KEP-1287). Templates that differ only there need no new pod.
std::string RestartHash(const corev1::PodTemplateSpec& pod_template);

// Hash over the fields that are fixed when containerd creates a container, so that only a new one can take the change:
// name, image, command, args, workingDir, env, envFrom, volumeMounts, volumeDevices, resources, securityContext,
// terminationMessagePath, stdin, stdinOnce, tty, lifecycle.stopSignal. Left out is what the agent itself acts on
// (probes, hooks, pull and restart policies) and what belongs to the sandbox (ports). The same before and after API
// defaulting. A hash written under another version is never compared (adopt, never restart). 16 hexadecimal digits.
inline constexpr int kSpecHashVersion = 1;
std::string ContainerSpecHash(const corev1::Container& container);

// "<daemon set>-<5 characters>" from (DaemonSet UID, node name, sequence); the front is cut to 58 characters, as the
// API server does for generateName, so that the name fits a host name.
std::string DaemonPodName(const appsv1::DaemonSet& daemon_set, const std::string& node_name, std::uint32_t sequence);

// The entry of a pod's owner references that makes this DaemonSet its controller.
metav1::OwnerReference OwnerReferenceTo(const appsv1::DaemonSet& daemon_set);

// Labels, annotations, finalizers, owner, tolerations and node affinity as upstream makes them, spec.nodeName set, name
// as above. Not defaulted beyond the template: the caller applies model::SetDefaults where no API server does.
// The UID is derived from the same inputs (a provisional one until the API server gives another).
corev1::Pod MakeDaemonPod(const appsv1::DaemonSet& daemon_set, const std::string& node_name, std::uint32_t sequence);

}  // namespace daemonsetd::decide
