// The image of the pods' sandboxes. No container record names it, and without it no pod starts. Pure.
#pragma once

#include <string>

#include "cri.pb.h"

namespace daemonsetd::pods {

// As the runtime's verbose status names it (containerd 1: "sandboxImage" of its configuration); empty where it doesn't.
// Later runtimes pin the image instead.
std::string PauseImageOf(const ::runtime::v1::StatusResponse& verbose_status);

}  // namespace daemonsetd::pods
