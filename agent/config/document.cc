#include "agent/config/document.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <memory>

#include "agent/config/reference.h"

namespace daemonsetd::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;
using ProtoMessage = google::protobuf::Message;

// Copies what `node` names from `from` (the same document, decoded) into `to`. The node tells what the message can't:
// null, the empty list, and the line of each key.
class Patch {
 public:
  Patch(const std::string& file, Origins& origins) : file_(file), origins_(origins) {}

  void Apply(const YAML::Node& node, const ProtoMessage& from, ProtoMessage& to, const std::string& prefix) {
    if (!node.IsMap()) return;
    for (const auto& entry : node) {
      const std::string name = entry.first.Scalar();
      const FieldDescriptor* field = to.GetDescriptor()->FindFieldByName(name);
      if (field == nullptr) continue;  // reported by the decoder
      const std::string path = prefix.empty() ? name : prefix + "." + name;
      const Origin origin{.source = file_, .line = entry.first.Mark().line + 1};
      if (entry.second.IsNull()) {
        to.GetReflection()->ClearField(&to, field);
        origins_.Erase(path);
      } else if (field->is_map()) {
        origins_.Set(path, origin);
        ApplyMap(entry.second, from, to, *field, path);
      } else if (field->is_repeated()) {
        origins_.Erase(path);
        origins_.Set(path, origin);
        ReplaceList(entry.second, from, to, *field, path);
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        origins_.Set(path, origin);
        Apply(entry.second, from.GetReflection()->GetMessage(from, field),
              *to.GetReflection()->MutableMessage(&to, field), path);
      } else {
        origins_.Set(path, origin);
        CopyScalar(from, to, *field);
      }
    }
  }

 private:
  static void CopyScalar(const ProtoMessage& from, ProtoMessage& to, const FieldDescriptor& field) {
    const Reflection& reflection = *from.GetReflection();
    to.GetReflection()->ClearField(&to, &field);
    if (!reflection.HasField(from, &field)) return;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: reflection.SetInt32(&to, &field, reflection.GetInt32(from, &field)); break;
      case FieldDescriptor::CPPTYPE_BOOL: reflection.SetBool(&to, &field, reflection.GetBool(from, &field)); break;
      case FieldDescriptor::CPPTYPE_STRING:
        reflection.SetString(&to, &field, reflection.GetString(from, &field));
        break;
      default: break;  // config.proto has no other scalars; reference_test holds it to that
    }
  }

  using Entries = std::map<std::string, std::unique_ptr<ProtoMessage>>;

  static Entries EntriesOf(const ProtoMessage& message, const FieldDescriptor& field) {
    Entries entries;
    const Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const ProtoMessage& entry = reflection.GetRepeatedMessage(message, &field, i);
      std::unique_ptr<ProtoMessage> copy(entry.New());
      copy->CopyFrom(entry);
      entries[entry.GetReflection()->GetString(entry, field.message_type()->map_key())] = std::move(copy);
    }
    return entries;
  }

  void ApplyMap(const YAML::Node& node, const ProtoMessage& from, ProtoMessage& to, const FieldDescriptor& field,
                const std::string& path) {
    if (!node.IsMap()) return;
    Entries entries = EntriesOf(to, field);
    Entries patch = EntriesOf(from, field);
    for (const auto& item : node) {
      const std::string key = item.first.Scalar();
      const std::string item_path = fmt::format("{}[{}]", path, key);
      entries.erase(key);
      origins_.Erase(item_path);
      auto written = patch.extract(key);
      if (item.second.IsNull() || written.empty()) continue;
      entries[key] = std::move(written.mapped());
      origins_.Set(item_path, {.source = file_, .line = item.first.Mark().line + 1});
    }
    // Keys that YAML reads as something else than they are written ("y" is true) are under the decoder's name.
    for (auto& [key, entry] : patch) entries[key] = std::move(entry);
    const Reflection& reflection = *to.GetReflection();
    reflection.ClearField(&to, &field);
    for (const auto& [key, entry] : entries) reflection.AddMessage(&to, &field)->CopyFrom(*entry);
  }

  void ReplaceList(const YAML::Node& node, const ProtoMessage& from, ProtoMessage& to, const FieldDescriptor& field,
                   const std::string& path) {
    const Reflection& reflection = *to.GetReflection();
    reflection.ClearField(&to, &field);
    for (int i = 0; i < reflection.FieldSize(from, &field); ++i) {
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        reflection.AddMessage(&to, &field)->CopyFrom(reflection.GetRepeatedMessage(from, &field, i));
      } else {
        reflection.AddString(&to, &field, reflection.GetRepeatedString(from, &field, i));
      }
    }
    if (!node.IsSequence()) return;
    for (std::size_t i = 0; i < node.size(); ++i) {
      const std::string item_path = fmt::format("{}[{}]", path, i);
      const YAML::Node item = node[i];
      origins_.Set(item_path, {.source = file_, .line = item.Mark().line + 1});
      if (!item.IsMap()) continue;
      for (const auto& entry : item) {
        origins_.Set(item_path + "." + entry.first.Scalar(), {.source = file_, .line = entry.first.Mark().line + 1});
      }
    }
  }

  const std::string& file_;
  Origins& origins_;
};

// The decoder speaks of any object; a person who writes this file has only one kind in mind.
model::DecodeError InOurWords(model::DecodeError error) {
  if (error.object == kKind) error.object.clear();
  const Key* key = FindKey(error.field);
  if (key != nullptr && key->form == Form::kDuration) {
    error.message = fmt::format("must be a duration, which has a unit; write for example {}", key->default_text);
  } else if (error.line == 0 && error.field.empty()) {
    error.message = fmt::format("{}; a configuration file begins with \"apiVersion: {}\" and \"kind: {}\"",
                                error.message.substr(0, error.message.find(';')), kApiVersion, kKind);
  }
  return error;
}

// The document with its known keys, even when it has unknown ones; null when it is broken otherwise.
std::unique_ptr<Message> DecodeLayer(const Layer& layer, std::vector<model::DecodeError>& errors) {
  static const Message prototype;
  const std::vector<model::KnownKind> kinds{{.api_version = kApiVersion, .kind = kKind, .prototype = &prototype}};
  model::DecodedFile decoded = model::DecodeFile(layer.text, layer.file, kinds);
  const bool clean = decoded.errors.empty();
  for (model::DecodeError& error : decoded.errors) errors.push_back(InOurWords(std::move(error)));
  if (decoded.documents.size() > 1) {
    errors.push_back({.file = layer.file,
                      .line = decoded.documents[1].line,
                      .message = "a second document; a configuration file holds one: move this part to a file of its "
                                 "own in the drop-in directory"});
    return nullptr;
  }
  if (clean) {
    auto* typed = dynamic_cast<Message*>(decoded.documents[0].object.get());
    if (typed == nullptr) return nullptr;
    decoded.documents[0].object.release();
    return std::unique_ptr<Message>(typed);
  }
  auto lenient = std::make_unique<Message>();
  if (!model::DecodeObject(layer.text, *lenient, /*strict=*/false)) return nullptr;
  return lenient;
}

}  // namespace

void Origins::Erase(const std::string& path) {
  for (auto it = by_path_.lower_bound(path); it != by_path_.end() && it->first.starts_with(path);) {
    const std::string_view rest = std::string_view(it->first).substr(path.size());
    it = rest.empty() || rest[0] == '.' || rest[0] == '[' ? by_path_.erase(it) : std::next(it);
  }
}

Origin Origins::Find(std::string path) const {
  while (!path.empty()) {
    if (const auto it = by_path_.find(path); it != by_path_.end()) return it->second;
    const std::size_t cut = path.ends_with(']') ? path.rfind('[') : path.rfind('.');
    path.resize(cut == std::string::npos ? 0 : cut);
  }
  return {};
}

Merged Merge(const std::vector<Layer>& layers) {
  Merged merged;
  for (const Layer& layer : layers) {
    const std::unique_ptr<Message> decoded = DecodeLayer(layer, merged.errors);
    if (decoded == nullptr) continue;
    try {
      const YAML::Node root = YAML::Load(layer.text);
      Patch(layer.file, merged.origins).Apply(root, *decoded, merged.message, "");
    } catch (const YAML::Exception& error) {
      merged.errors.push_back({.file = layer.file, .line = error.mark.line + 1, .message = error.msg});
    }
  }
  merged.message.set_apiversion(std::string(kApiVersion));
  merged.message.set_kind(std::string(kKind));
  return merged;
}

}  // namespace daemonsetd::config
