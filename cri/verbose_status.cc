#include "cri/verbose_status.h"

#include <initializer_list>
#include <string_view>
#include <vector>

#include "agent/model/json_reader.h"

namespace daemonsetd::cri {
namespace {

// The member at the end of the path, nullptr when something of it is absent.
const model::Node* Find(const model::Node* node, std::initializer_list<std::string_view> path) {
  for (const std::string_view key : path) {
    if (node != nullptr) node = node->Find(key);
  }
  return node;
}

// nullptr where there is none, or it cannot be read. `tree` keeps it.
const model::Node* ConfigurationIn(const ::runtime::v1::StatusResponse& status, model::Tree& tree) {
  const auto text = status.info().find("config");
  if (text == status.info().end()) return nullptr;
  std::vector<const model::Node*> roots;
  if (model::ReadJson(text->second, tree, roots) || roots.size() != 1) return nullptr;
  return roots[0];
}

}  // namespace

std::string PauseImageOf(const ::runtime::v1::StatusResponse& verbose_status) {
  model::Tree tree;
  const model::Node* const image = Find(ConfigurationIn(verbose_status, tree), {"sandboxImage"});
  return image != nullptr ? image->text : std::string();
}

CgroupDriver CgroupDriverOf(const ::runtime::v1::StatusResponse& verbose_status) {
  model::Tree tree;
  const model::Node* const containerd = Find(ConfigurationIn(verbose_status, tree), {"containerd"});
  const model::Node* const handler = Find(containerd, {"defaultRuntimeName"});
  if (handler == nullptr) return CgroupDriver::kUnknown;
  const model::Node* const uses_systemd = Find(containerd, {"runtimes", handler->text, "options", "SystemdCgroup"});
  return uses_systemd != nullptr && uses_systemd->text == "true" ? CgroupDriver::kSystemd : CgroupDriver::kCgroupfs;
}

}  // namespace daemonsetd::cri
