#include "agent/config/fields.h"

#include <google/protobuf/util/message_differencer.h>

#include <charconv>
#include <memory>
#include <stdexcept>

namespace daemonsetd::config {
namespace {

using google::protobuf::FieldDescriptor;
using ProtoMessage = google::protobuf::Message;
using google::protobuf::Reflection;

struct Split {
  std::string outer;  // empty for a key of the top level
  std::string name;
};
Split SplitPath(std::string_view path) {
  const std::size_t dot = path.find('.');
  if (dot == std::string_view::npos) return {.outer = "", .name = std::string(path)};
  return {.outer = std::string(path.substr(0, dot)), .name = std::string(path.substr(dot + 1))};
}

const FieldDescriptor& FieldOf(const ProtoMessage& message, const std::string& name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) throw std::logic_error("no configuration key is called " + name);
  return *field;
}

const ProtoMessage& HolderOf(const ProtoMessage& message, const Split& split) {
  if (split.outer.empty()) return message;
  return message.GetReflection()->GetMessage(message, &FieldOf(message, split.outer));
}
ProtoMessage& MutableHolderOf(ProtoMessage& message, const Split& split) {
  if (split.outer.empty()) return message;
  return *message.GetReflection()->MutableMessage(&message, &FieldOf(message, split.outer));
}

}  // namespace

bool IsSet(const Message& message, std::string_view path) {
  const Split split = SplitPath(path);
  const ProtoMessage& holder = HolderOf(message, split);
  const FieldDescriptor& field = FieldOf(holder, split.name);
  if (field.is_repeated()) return holder.GetReflection()->FieldSize(holder, &field) > 0;
  return holder.GetReflection()->HasField(holder, &field);
}

std::string ScalarText(const Message& message, std::string_view path) {
  if (!IsSet(message, path)) return "";
  const Split split = SplitPath(path);
  const ProtoMessage& holder = HolderOf(message, split);
  const FieldDescriptor& field = FieldOf(holder, split.name);
  const Reflection& reflection = *holder.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return std::to_string(reflection.GetInt32(holder, &field));
    case FieldDescriptor::CPPTYPE_BOOL: return reflection.GetBool(holder, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_STRING: return reflection.GetString(holder, &field);
    default: throw std::logic_error("not a scalar configuration key: " + std::string(path));
  }
}

void SetScalar(Message& message, std::string_view path, std::string_view text) {
  const Split split = SplitPath(path);
  ProtoMessage& holder = MutableHolderOf(message, split);
  const FieldDescriptor& field = FieldOf(holder, split.name);
  const Reflection& reflection = *holder.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      std::int32_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size()) {
        throw std::logic_error("not a number for configuration key " + std::string(path));
      }
      reflection.SetInt32(&holder, &field, number);
      return;
    }
    case FieldDescriptor::CPPTYPE_BOOL: reflection.SetBool(&holder, &field, text == "true"); return;
    case FieldDescriptor::CPPTYPE_STRING: reflection.SetString(&holder, &field, std::string(text)); return;
    default: throw std::logic_error("not a scalar configuration key: " + std::string(path));
  }
}

void CopyKey(const Message& from, Message& to, std::string_view path) {
  const Split split = SplitPath(path);
  const ProtoMessage& source = HolderOf(from, split);
  ProtoMessage& target = MutableHolderOf(to, split);
  const FieldDescriptor& field = FieldOf(source, split.name);
  // Only this key is kept in the copy, so that merging it in touches nothing else.
  const std::unique_ptr<ProtoMessage> only(source.New());
  only->CopyFrom(source);
  std::vector<const FieldDescriptor*> present;
  only->GetReflection()->ListFields(*only, &present);
  for (const FieldDescriptor* other : present) {
    if (other != &field) only->GetReflection()->ClearField(only.get(), other);
  }
  target.GetReflection()->ClearField(&target, &field);
  target.MergeFrom(*only);
}

bool SameValue(const Message& a, const Message& b, std::string_view path) {
  const Split split = SplitPath(path);
  const ProtoMessage& left = HolderOf(a, split);
  const ProtoMessage& right = HolderOf(b, split);
  google::protobuf::util::MessageDifferencer differencer;
  const std::vector<const FieldDescriptor*> only{&FieldOf(left, split.name)};
  return differencer.CompareWithFields(left, right, only, only);
}

}  // namespace daemonsetd::config
