// Who makes the control groups of pods, and how it is told where. Pure.
#pragma once

#include <string>
#include <string_view>

#include "cri.pb.h"

namespace daemonsetd::cri {

enum class CgroupDriver { kUnknown, kCgroupfs, kSystemd };

// As the configuration names it; kUnknown for "auto".
CgroupDriver CgroupDriverOf(std::string_view name);
// CRI tells it since containerd 2.0; verbose_status.h has the way before.
CgroupDriver CgroupDriverOf(const ::runtime::v1::RuntimeConfigResponse& config);

std::string NameOf(CgroupDriver driver);

// `cgroup_parent` of a sandbox below `root`, "" for the runtime's default. systemd needs a slice, and runc refuses
// everything else: kubepods.slice by default, as a kubelet's pods; "/edge/node-a" is edge-node_a.slice.
std::string CgroupParent(const std::string& root, CgroupDriver driver);

}  // namespace daemonsetd::cri
