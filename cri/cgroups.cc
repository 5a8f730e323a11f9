#include "cri/cgroups.h"

#include "agent/decide/pod_cgroup.h"

namespace daemonsetd::cri {

CgroupDriver CgroupDriverOf(std::string_view name) {
  if (name == "systemd") return CgroupDriver::kSystemd;
  return name == "cgroupfs" ? CgroupDriver::kCgroupfs : CgroupDriver::kUnknown;
}

CgroupDriver CgroupDriverOf(const ::runtime::v1::RuntimeConfigResponse& config) {
  return config.linux().cgroup_driver() == ::runtime::v1::SYSTEMD ? CgroupDriver::kSystemd : CgroupDriver::kCgroupfs;
}

std::string NameOf(CgroupDriver driver) {
  switch (driver) {
    case CgroupDriver::kUnknown: return "unknown";
    case CgroupDriver::kCgroupfs: return "cgroupfs";
    case CgroupDriver::kSystemd: return "systemd";
  }
  return {};
}

std::string CgroupParent(const std::string& root, CgroupDriver driver) {
  if (driver != CgroupDriver::kSystemd || root.ends_with(".slice")) return root;
  const decide::CgroupName name = decide::CgroupOf(root);
  return decide::SliceName(name.empty() ? decide::KubepodsCgroup(root) : name);
}

}  // namespace daemonsetd::cri
