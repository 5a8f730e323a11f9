// What stands in the configuration that containerd's verbose Status holds, where CRI itself has no word for it. Pure.
#pragma once

#include <string>

#include "cri/cgroups.h"

#include "cri.pb.h"

namespace daemonsetd::cri {

// The image of the pods' sandboxes as the configuration names it, which is not always pinned in the image service.
// Empty when it is not there.
std::string PauseImageOf(const ::runtime::v1::StatusResponse& verbose_status);

// Of the default handler. Since containerd 2.0 the call RuntimeConfig tells it.
CgroupDriver CgroupDriverOf(const ::runtime::v1::StatusResponse& verbose_status);

}  // namespace daemonsetd::cri
