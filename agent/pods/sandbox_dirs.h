// The directories that a pod and its containers need before they start. All functions block and may be repeated.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/paths.h"

namespace daemonsetd::pods {

// Pod directory (0750, with volumes/) and log directory (0755). The first thing in the pod directory is our mark, and
// it is the last to go: whatever else is there or not, it tells a later agent that there is something to take down, and
// that it is not another's, as a kubelet's that ran here before.
Status MakePodDirectories(const PodPaths& paths, const corev1::Pod& pod);

struct FoundPodDirectory {
  std::string uid;
  std::string name_space, name;  // as the mark says; "unknown" where it says nothing
  bool ours = false;             // it carries our mark
  bool empty = false;
};
// Every directory of a pod below the pod root, whoever made it.
Result<std::vector<FoundPodDirectory>> FindPodDirectories(const Directories& directories);

// The container's log directory, and its termination message file (0666: any user of the container may write it) when
// the container has a terminationMessagePath.
Status MakeContainerFiles(const PodPaths& paths, const corev1::Container& container, const std::string& token);

// The log directory with everything in it, once nobody wants to read it any more.
Status RemovePodLogs(const PodPaths& paths);

}  // namespace daemonsetd::pods
