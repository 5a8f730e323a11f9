// The kinds of volume that this agent cannot set up, and what each waits for.
#pragma once

#include "agent/base/error.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// For a volume that is neither hostPath nor emptyDir. kAbsent: needs an object that only an API server has;
// kUnsupported: not supported yet. The message names the kind and, where it has one, the object.
Error UnsupportedVolume(const corev1::Volume& volume);

}  // namespace daemonsetd::pods
