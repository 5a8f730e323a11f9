// What a container left behind as its last word. The runtime does not read it; the kubelet does
// (pkg/kubelet/kuberuntime/kuberuntime_container.go, getTerminationMessage; pkg/kubelet/status, normalizeStatus).
#pragma once

#include <cstddef>
#include <string>

#include "agent/model/kubernetes.h"
#include "agent/pods/paths.h"
#include "cri.pb.h"

namespace daemonsetd::pods {

inline constexpr std::size_t kMaxTerminationMessage = 4096;     // bytes, of one container
inline constexpr std::size_t kMaxTerminationMessages = 12'288;  // bytes, of all containers of a pod
inline constexpr std::size_t kMaxMessageFromLog = 2048;         // bytes
inline constexpr std::size_t kMaxLinesFromLog = 80;

// For an EXITED container: the runtime's own message, then the end of its termination message file. With policy
// FallbackToLogsOnError, an exit code other than 0 and an empty file: the end of its log. Path and policy are those of
// the container's annotations, so it works for containers of an older pod spec and of another agent too. What cannot be
// read is said in the message, as upstream does. Valid UTF-8, at most kMaxTerminationMessage bytes. Blocks.
std::string TerminationMessage(const PodPaths& paths, const ::runtime::v1::ContainerStatus& status);

// The end of the log of a container that ended with an error within a moment of its start: then it may hold the words
// of the runtime, which could not run the program after all. Empty for others. Blocks.
std::string WordsOfEarlyEnd(const PodPaths& paths, const ::runtime::v1::ContainerStatus& status);

// Cuts the messages of ended containers, current and last ones, to an equal share of kMaxTerminationMessages each.
void LimitTerminationMessages(const corev1::PodSpec& spec, corev1::PodStatus& status);

}  // namespace daemonsetd::pods
