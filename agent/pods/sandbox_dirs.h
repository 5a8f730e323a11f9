// The directories that a pod and its containers need before they start. All functions block and may be repeated.
#pragma once

#include <string>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/paths.h"

namespace daemonsetd::pods {

// Pod directory (0750, with volumes/) and log directory (0755).
Status MakePodDirectories(const PodPaths& paths);

// The container's log directory, and its termination message file (0666: any user of the container may write it) when
// the container has a terminationMessagePath.
Status MakeContainerFiles(const PodPaths& paths, const corev1::Container& container, const std::string& token);

// The log directory with everything in it, once nobody wants to read it any more.
Status RemovePodLogs(const PodPaths& paths);

}  // namespace daemonsetd::pods
