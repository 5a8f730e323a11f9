#include "agent/pods/garbage/pause_image.h"

#include <algorithm>
#include <vector>

#include "agent/model/json_reader.h"

namespace daemonsetd::pods {

std::string PauseImageOf(const ::runtime::v1::StatusResponse& verbose_status) {
  const auto config = verbose_status.info().find("config");
  if (config == verbose_status.info().end()) return {};
  model::Tree tree;
  std::vector<const model::Node*> roots;
  if (model::ReadJson(config->second, tree, roots) || roots.size() != 1) return {};
  const auto& members = roots[0]->members;
  const auto found = std::find_if(members.begin(), members.end(),
                                  [](const model::Member& member) { return member.key == "sandboxImage"; });
  return found == members.end() ? std::string() : std::string(found->value->text);
}

}  // namespace daemonsetd::pods
