#include "agent/decide/labels.h"

namespace daemonsetd::decide {

std::string ValueOf(const google::protobuf::Map<std::string, std::string>& map, const std::string& key) {
  const auto value = map.find(key);
  return value == map.end() ? std::string() : value->second;
}

}  // namespace daemonsetd::decide
