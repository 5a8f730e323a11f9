#include "agent/model/message_encoder.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "agent/model/json_reader.h"
#include "agent/model/special_types.h"
#include "agent/model/yaml_scalar.h"

namespace daemonsetd::model {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

class Encoder {
 public:
  explicit Encoder(Tree& tree) : tree_(tree) {}

  // Null for a value that JSON leaves out.
  const Node* Encode(const Message& message) {
    const Descriptor* type = message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    switch (FormOf(type)) {
      case JsonForm::kObject: {
        Node* node = tree_.New(Node::Kind::kMapping);
        AppendFields(message, *node);
        return node;
      }
      case JsonForm::kQuantity: {
        const std::string text = reflection.GetString(message, type->field(0));
        return String(text.empty() ? "0" : text);
      }
      case JsonForm::kIntOrString:
        if (reflection.GetInt64(message, type->field(0)) == 1)
          return String(reflection.GetString(message, type->field(2)));
        return Number(std::to_string(reflection.GetInt32(message, type->field(1))));
      case JsonForm::kTime:
      case JsonForm::kMicroTime: {
        const Moment moment{reflection.GetInt64(message, type->field(0)), reflection.GetInt32(message, type->field(1))};
        // An empty message is how the API server writes "no time".
        if (moment.seconds == 0 && moment.nanos == 0) return nullptr;
        std::optional<std::string> text = FormatMoment(moment, FormOf(type) == JsonForm::kMicroTime);
        return text ? String(std::move(*text)) : nullptr;
      }
      case JsonForm::kRawJson: {
        const std::string text = reflection.GetString(message, type->field(0));
        std::vector<const Node*> roots;
        // Bytes that are no JSON (another encoding, damage) have no JSON form.
        if (ReadJson(text, tree_, roots) || roots.size() != 1) return nullptr;
        return roots.front();
      }
      case JsonForm::kStringList: return EncodeList(message, type->field(0));
    }
    return nullptr;
  }

  void AppendFields(const Message& message, Node& parent) {
    const Reflection& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);  // ordered by number
    for (const FieldDescriptor* field : fields) {
      if (IsInline(field)) {
        AppendFields(reflection.GetMessage(message, field), parent);
        continue;
      }
      const Node* value = field->is_map()        ? EncodeMap(message, field)
                          : field->is_repeated() ? EncodeList(message, field)
                                                 : EncodeSingular(message, field);
      if (value != nullptr) Append(parent, JsonName(field), value);
    }
  }

  static void Append(Node& parent, std::string_view key, const Node* value) {
    parent.members.push_back(Member{std::string(key), 0, value});
  }
  const Node* String(std::string text) { return tree_.NewScalar(Node::Kind::kString, std::move(text)); }

 private:
  const Node* Number(std::string text) { return tree_.NewScalar(Node::Kind::kNumber, std::move(text)); }
  const Node* Real(double number) {
    // JSON has no words for these; protobuf's own mapping writes them as strings.
    if (!std::isfinite(number)) return String(std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
    return Number(FormatNumber(number));
  }
  const Node* Bytes(const FieldDescriptor* field, const std::string& text) {
    return String(field->type() == FieldDescriptor::TYPE_BYTES ? EncodeBase64(text) : text);
  }
  const Node* Bool(bool value) { return tree_.NewScalar(Node::Kind::kBool, value ? "true" : "false"); }
  const Node* OrNull(const Node* node) { return node != nullptr ? node : tree_.New(Node::Kind::kNull); }

  const Node* EncodeSingular(const Message& message, const FieldDescriptor* field) {
    const Reflection& reflection = *message.GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: return Number(std::to_string(reflection.GetInt32(message, field)));
      case FieldDescriptor::CPPTYPE_INT64: return Number(std::to_string(reflection.GetInt64(message, field)));
      case FieldDescriptor::CPPTYPE_UINT32: return Number(std::to_string(reflection.GetUInt32(message, field)));
      case FieldDescriptor::CPPTYPE_UINT64: return Number(std::to_string(reflection.GetUInt64(message, field)));
      case FieldDescriptor::CPPTYPE_DOUBLE: return Real(reflection.GetDouble(message, field));
      case FieldDescriptor::CPPTYPE_FLOAT: return Real(static_cast<double>(reflection.GetFloat(message, field)));
      case FieldDescriptor::CPPTYPE_BOOL: return Bool(reflection.GetBool(message, field));
      case FieldDescriptor::CPPTYPE_ENUM: return String(reflection.GetEnum(message, field)->name());
      case FieldDescriptor::CPPTYPE_STRING: return Bytes(field, reflection.GetString(message, field));
      case FieldDescriptor::CPPTYPE_MESSAGE: return Encode(reflection.GetMessage(message, field));
    }
    return nullptr;
  }

  const Node* EncodeList(const Message& message, const FieldDescriptor* field) {
    const Reflection& reflection = *message.GetReflection();
    Node* node = tree_.New(Node::Kind::kSequence);
    const int size = reflection.FieldSize(message, field);
    for (int i = 0; i < size; ++i) {
      const Node* item = nullptr;
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT32:
          item = Number(std::to_string(reflection.GetRepeatedInt32(message, field, i)));
          break;
        case FieldDescriptor::CPPTYPE_INT64:
          item = Number(std::to_string(reflection.GetRepeatedInt64(message, field, i)));
          break;
        case FieldDescriptor::CPPTYPE_UINT32:
          item = Number(std::to_string(reflection.GetRepeatedUInt32(message, field, i)));
          break;
        case FieldDescriptor::CPPTYPE_UINT64:
          item = Number(std::to_string(reflection.GetRepeatedUInt64(message, field, i)));
          break;
        case FieldDescriptor::CPPTYPE_DOUBLE: item = Real(reflection.GetRepeatedDouble(message, field, i)); break;
        case FieldDescriptor::CPPTYPE_FLOAT:
          item = Real(static_cast<double>(reflection.GetRepeatedFloat(message, field, i)));
          break;
        case FieldDescriptor::CPPTYPE_BOOL: item = Bool(reflection.GetRepeatedBool(message, field, i)); break;
        case FieldDescriptor::CPPTYPE_ENUM: item = String(reflection.GetRepeatedEnum(message, field, i)->name()); break;
        case FieldDescriptor::CPPTYPE_STRING:
          item = Bytes(field, reflection.GetRepeatedString(message, field, i));
          break;
        case FieldDescriptor::CPPTYPE_MESSAGE: item = Encode(reflection.GetRepeatedMessage(message, field, i)); break;
      }
      node->items.push_back(OrNull(item));
    }
    return node;
  }

  const Node* EncodeMap(const Message& message, const FieldDescriptor* field) {
    const Reflection& reflection = *message.GetReflection();
    const FieldDescriptor* key = field->message_type()->map_key();
    const FieldDescriptor* value = field->message_type()->map_value();
    Node* node = tree_.New(Node::Kind::kMapping);
    const int size = reflection.FieldSize(message, field);
    for (int i = 0; i < size; ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, field, i);
      Append(*node, EncodeSingular(entry, key)->text, OrNull(EncodeSingular(entry, value)));
    }
    std::sort(node->members.begin(), node->members.end(),
              [](const Member& left, const Member& right) { return left.key < right.key; });
    return node;
  }

  Tree& tree_;
};

}  // namespace

const Node* EncodeMessage(const Message& message, std::string_view api_version, std::string_view kind, Tree& tree) {
  Encoder encoder(tree);
  Node* root = tree.New(Node::Kind::kMapping);
  if (!api_version.empty()) encoder.Append(*root, "apiVersion", encoder.String(std::string(api_version)));
  if (!kind.empty()) encoder.Append(*root, "kind", encoder.String(std::string(kind)));
  if (FormOf(message.GetDescriptor()) != JsonForm::kObject) {
    const Node* value = encoder.Encode(message);
    return value != nullptr ? value : tree.New(Node::Kind::kNull);
  }
  const std::size_t given = root->members.size();
  encoder.AppendFields(message, *root);
  const auto first = root->members.begin() + static_cast<std::ptrdiff_t>(given);
  root->members.erase(std::remove_if(first, root->members.end(),
                                     [&](const Member& member) {
                                       return (!api_version.empty() && member.key == "apiVersion") ||
                                              (!kind.empty() && member.key == "kind");
                                     }),
                      root->members.end());
  return root;
}

}  // namespace daemonsetd::model
