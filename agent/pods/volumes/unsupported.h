// The kinds of volume that this agent cannot set up.
#pragma once

#include "agent/base/error.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// For a volume of a kind that this agent cannot set up: kUnsupported, kInvalid when it names no source. The message
// names the kind and, where it has one, the object.
Error UnsupportedVolume(const corev1::Volume& volume);

}  // namespace daemonsetd::pods
