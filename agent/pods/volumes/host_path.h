// hostPath: a file or directory of the node (pkg/volume/hostpath).
#pragma once

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// Checks the path against its type and makes it where the type says so: DirectoryOrCreate 0755 with missing parents,
// FileOrCreate 0644 in a directory that exists. kInvalid: something else is there; kAbsent: nothing is. Blocks.
Status PrepareHostPath(const corev1::HostPathVolumeSource& source);

}  // namespace daemonsetd::pods
