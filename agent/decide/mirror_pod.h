// Mirror pods: what the API server shows of pods from this node's manifests (pkg/kubelet/pod/mirror_client.go). The
// manifest rules; whoever deletes or changes the mirror gets it back. Pure.
#pragma once

#include <string>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

inline constexpr char kConfigMirrorAnnotation[] = "kubernetes.io/config.mirror";

bool IsMirrorPod(const corev1::Pod& pod);

// The static pod's annotation kubernetes.io/config.hash, or a hash of what it runs.
std::string StaticPodHash(const corev1::Pod& static_pod);

// The object to POST: the static pod under its own name, owned by the Node. Without what the server refuses to mirror
// for any identity: the service account. References to other API objects are left in, so that the server's refusal
// names them.
corev1::Pod MakeMirrorPod(const corev1::Pod& static_pod, const std::string& node_name, const std::string& node_uid);

// Whether the object still shows this static pod, and belongs to this Node.
bool MirrorIsCurrent(const corev1::Pod& mirror, const corev1::Pod& static_pod, const std::string& node_uid);

}  // namespace daemonsetd::decide
