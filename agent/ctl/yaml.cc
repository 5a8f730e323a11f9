#include "agent/ctl/yaml.h"

#include <yaml-cpp/yaml.h>

#include "agent/local/status_json.h"

namespace daemonsetd::ctl {
namespace {

// yaml-cpp tags a scalar that was quoted in the source with "!"; JSON quotes exactly its texts.
void Emit(const YAML::Node& node, YAML::Emitter& emitter) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      if (node.size() == 0) emitter << YAML::Flow;
      emitter << YAML::BeginMap;
      for (const auto& entry : node) {
        emitter << YAML::Key << entry.first.Scalar() << YAML::Value;
        Emit(entry.second, emitter);
      }
      emitter << YAML::EndMap;
      break;
    case YAML::NodeType::Sequence:
      if (node.size() == 0) emitter << YAML::Flow;
      emitter << YAML::BeginSeq;
      for (const auto& entry : node) Emit(entry, emitter);
      emitter << YAML::EndSeq;
      break;
    case YAML::NodeType::Scalar: {
      const std::string& text = node.Scalar();
      if (node.Tag() != "!") {
        emitter << text;  // a number, true or false
        break;
      }
      // A text that reads back as anything but itself needs its quotes.
      const bool plain = !text.empty() && text.find_first_not_of(
                                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789-._/") == std::string::npos;
      double number = 0;
      bool flag = false;
      const YAML::Node bare = plain ? YAML::Load(text) : YAML::Node();
      const bool same = plain && bare.IsScalar() && bare.Scalar() == text &&
                        !YAML::convert<double>::decode(bare, number) && !YAML::convert<bool>::decode(bare, flag) &&
                        text.front() != '-' && text.front() != '.' && !(text.front() >= '0' && text.front() <= '9');
      if (same) {
        emitter << text;
      } else {
        emitter << YAML::DoubleQuoted << text;
      }
      break;
    }
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined: emitter << YAML::Null; break;
  }
}

}  // namespace

std::string JsonToYaml(std::string_view json) {
  YAML::Emitter emitter;
  Emit(YAML::Load(std::string(json)), emitter);
  return std::string(emitter.c_str()) + "\n";
}

std::string Serialise(const google::protobuf::Message& message, Output output) {
  const std::string json = local::ToJson(message, true);
  return output == Output::kYaml ? JsonToYaml(json) : json;
}

}  // namespace daemonsetd::ctl
