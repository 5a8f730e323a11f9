// The labels and annotations that tie containerd's objects to pods. The io.kubernetes.* names are the kubelet's
// (conventions.md section 3), so that crictl, cAdvisor and log collectors see what they know; the rest is ours.
#pragma once

#include <string>

#include <google/protobuf/map.h>

namespace daemonsetd::decide {

// A label or annotation; empty when it is missing.
std::string ValueOf(const google::protobuf::Map<std::string, std::string>& map, const std::string& key);

inline constexpr char kPodNameLabel[] = "io.kubernetes.pod.name";
inline constexpr char kPodNamespaceLabel[] = "io.kubernetes.pod.namespace";
inline constexpr char kPodUidLabel[] = "io.kubernetes.pod.uid";
inline constexpr char kContainerNameLabel[] = "io.kubernetes.container.name";

inline constexpr char kContainerHashAnnotation[] = "io.kubernetes.container.hash";
inline constexpr char kRestartCountAnnotation[] = "io.kubernetes.container.restartCount";
inline constexpr char kTerminationMessagePathAnnotation[] = "io.kubernetes.container.terminationMessagePath";
inline constexpr char kTerminationMessagePolicyAnnotation[] = "io.kubernetes.container.terminationMessagePolicy";
inline constexpr char kPortsAnnotation[] = "io.kubernetes.container.ports";
inline constexpr char kGracePeriodAnnotation[] = "io.kubernetes.pod.terminationGracePeriod";

inline constexpr char kConfigSourceAnnotation[] = "kubernetes.io/config.source";
inline constexpr char kConfigSeenAnnotation[] = "kubernetes.io/config.seen";
inline constexpr char kConfigHashAnnotation[] = "kubernetes.io/config.hash";

// Ours. Every sandbox and container that daemonsetd made carries kManagedByLabel; what lacks it is never touched.
inline constexpr char kManagedByLabel[] = "daemonsetd.dev/managed";
inline constexpr char kSpecHashVersionAnnotation[] = "daemonsetd.dev/spec-hash-version";
inline constexpr char kTemplateHashAnnotation[] = "daemonsetd.dev/template-hash";
inline constexpr char kRestartHashAnnotation[] = "daemonsetd.dev/restart-hash";
inline constexpr char kResourcesAnnotation[] = "daemonsetd.dev/resources";  // of a container: decide::ResourcesText
// Of a sandbox whose pod has a control group: the group, which is its containers' parent as long as it lives.
inline constexpr char kCgroupParentAnnotation[] = "daemonsetd.dev/cgroup-parent";
inline constexpr char kOwnerKindAnnotation[] = "daemonsetd.dev/owner-kind";  // "DaemonSet" or "Pod"
inline constexpr char kOwnerNameAnnotation[] = "daemonsetd.dev/owner-name";
inline constexpr char kOwnerUidAnnotation[] = "daemonsetd.dev/owner-uid";
inline constexpr char kSequenceAnnotation[] = "daemonsetd.dev/sequence";
inline constexpr char kPodSourceAnnotation[] = "daemonsetd.dev/pod-source";  // kApiServerSource; absent: a manifest
inline constexpr char kApiServerSource[] = "api";

// Ours, written by users on a pod template (crash_loop.h, pods/socket_watch.h).
inline constexpr char kCrashLoopMaximumAnnotation[] = "daemonsetd.dev/crash-loop-back-off-maximum";
inline constexpr char kCrashLoopResetAfterAnnotation[] = "daemonsetd.dev/crash-loop-back-off-reset-after";
inline constexpr char kRestartOnReplacedSocketAnnotation[] = "daemonsetd.dev/restart-on-replaced-socket";  // "true"

inline constexpr char kRevisionHashLabel[] = "controller-revision-hash";

}  // namespace daemonsetd::decide
