#include "cri/cgroups.h"

#include <algorithm>
#include <vector>

#include "agent/model/json_reader.h"

namespace daemonsetd::cri {

namespace {

constexpr std::string_view kSlice = ".slice";
constexpr std::string_view kDefaultSlice = "kubepods.slice";

// The member at the end of the path, nullptr when something of it is absent.
const model::Node* Find(const model::Node* node, std::initializer_list<std::string_view> path) {
  for (const std::string_view key : path) {
    if (node != nullptr) node = node->Find(key);
  }
  return node;
}

}  // namespace

CgroupDriver CgroupDriverOf(std::string_view name) {
  if (name == "systemd") return CgroupDriver::kSystemd;
  return name == "cgroupfs" ? CgroupDriver::kCgroupfs : CgroupDriver::kUnknown;
}

CgroupDriver CgroupDriverOf(const ::runtime::v1::RuntimeConfigResponse& config) {
  return config.linux().cgroup_driver() == ::runtime::v1::SYSTEMD ? CgroupDriver::kSystemd : CgroupDriver::kCgroupfs;
}

CgroupDriver CgroupDriverOf(const ::runtime::v1::StatusResponse& verbose_status) {
  const auto config = verbose_status.info().find("config");
  if (config == verbose_status.info().end()) return CgroupDriver::kUnknown;
  model::Tree tree;
  std::vector<const model::Node*> roots;
  if (model::ReadJson(config->second, tree, roots) || roots.size() != 1) return CgroupDriver::kUnknown;
  const model::Node* const containerd = Find(roots[0], {"containerd"});
  const model::Node* const handler = Find(containerd, {"defaultRuntimeName"});
  if (handler == nullptr) return CgroupDriver::kUnknown;
  const model::Node* const uses_systemd = Find(containerd, {"runtimes", handler->text, "options", "SystemdCgroup"});
  return uses_systemd != nullptr && uses_systemd->text == "true" ? CgroupDriver::kSystemd : CgroupDriver::kCgroupfs;
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
