#include "cri/cgroups.h"

#include <algorithm>

namespace daemonsetd::cri {

namespace {

constexpr std::string_view kSlice = ".slice";
constexpr std::string_view kDefaultSlice = "kubepods.slice";

}  // namespace

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
  if (driver != CgroupDriver::kSystemd || root.ends_with(kSlice)) return root;
  const std::size_t first = root.find_first_not_of('/');
  if (first == std::string::npos) return std::string(kDefaultSlice);
  // In the name of a slice, '-' stands between a parent and its child.
  std::string slice = root.substr(first, root.find_last_not_of('/') + 1 - first);
  std::replace(slice.begin(), slice.end(), '-', '_');
  std::replace(slice.begin(), slice.end(), '/', '-');
  return slice.append(kSlice);
}

}  // namespace daemonsetd::cri
