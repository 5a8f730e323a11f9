#include "agent/decide/node_identity.h"

#include "agent/model/names.h"

namespace daemonsetd::decide {
namespace {

constexpr std::string_view kUserPrefix = "daemonsetd:node:";

}  // namespace

std::string UserOfNode(std::string_view node_name) { return std::string(kUserPrefix) + std::string(node_name); }

std::string NodeOfUser(std::string_view user) {
  if (!user.starts_with(kUserPrefix)) return {};
  user.remove_prefix(kUserPrefix.size());
  return model::CheckDns1123Subdomain(user).empty() ? std::string(user) : std::string();
}

std::vector<std::string> GroupsOfNode(bool coordinates) {
  std::vector<std::string> groups = {std::string(kNodesGroup)};
  if (coordinates) groups.emplace_back(kCoordinatorsGroup);
  return groups;
}

}  // namespace daemonsetd::decide
