#include "tests/support/message_equality.h"

#include <google/protobuf/util/message_differencer.h>

#include <memory>
#include <string>
#include <vector>

namespace daemonsetd::testing {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsZero(const Message& message, const FieldDescriptor* field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return reflection.GetInt32(message, field) == 0;
    case FieldDescriptor::CPPTYPE_INT64: return reflection.GetInt64(message, field) == 0;
    case FieldDescriptor::CPPTYPE_UINT32: return reflection.GetUInt32(message, field) == 0;
    case FieldDescriptor::CPPTYPE_UINT64: return reflection.GetUInt64(message, field) == 0;
    case FieldDescriptor::CPPTYPE_DOUBLE: return reflection.GetDouble(message, field) == 0;
    case FieldDescriptor::CPPTYPE_FLOAT: return reflection.GetFloat(message, field) == 0;
    case FieldDescriptor::CPPTYPE_BOOL: return !reflection.GetBool(message, field);
    case FieldDescriptor::CPPTYPE_ENUM: return reflection.GetEnumValue(message, field) == 0;
    case FieldDescriptor::CPPTYPE_STRING: return reflection.GetString(message, field).empty();
    case FieldDescriptor::CPPTYPE_MESSAGE: return reflection.GetMessage(message, field).ByteSizeLong() == 0;
  }
  return false;
}

}  // namespace

void Normalise(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      const FieldDescriptor* value = field->is_map() ? field->message_type()->map_value() : nullptr;
      if (value != nullptr && value->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        Message& element = *reflection.MutableRepeatedMessage(&message, field, i);
        // A map entry keeps its key and its value, however empty.
        Normalise(value != nullptr ? *element.GetReflection()->MutableMessage(&element, value) : element);
      }
      continue;
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message& child = *reflection.MutableMessage(&message, field);
      Normalise(child);
      // The reference writes a quantity that nobody set as "0".
      const FieldDescriptor* text = child.GetDescriptor()->FindFieldByName("string");
      if (text != nullptr && child.GetDescriptor()->name() == "Quantity" &&
          child.GetReflection()->GetString(child, text) == "0") {
        child.Clear();
      }
    }
    if (IsZero(message, field)) reflection.ClearField(&message, field);
  }
}

::testing::AssertionResult SameMessage(const Message& expected, const Message& actual) {
  if (expected.GetDescriptor() != actual.GetDescriptor()) {
    return ::testing::AssertionFailure() << "a " << actual.GetTypeName() << " instead of a " << expected.GetTypeName();
  }
  const std::unique_ptr<Message> left(expected.New());
  const std::unique_ptr<Message> right(actual.New());
  left->CopyFrom(expected);
  right->CopyFrom(actual);
  Normalise(*left);
  Normalise(*right);
  google::protobuf::util::MessageDifferencer differencer;
  std::string differences;
  differencer.ReportDifferencesToString(&differences);
  if (differencer.Compare(*left, *right)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << expected.GetTypeName() << " differs (expected -> actual):\n" << differences;
}

}  // namespace daemonsetd::testing
