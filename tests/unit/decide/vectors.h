// The reference's answers, one JSON object a line (testdata/*.jsonl), and objects written as YAML in tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

namespace daemonsetd::decide {

struct Row {
  int line = 0;  // 1-based, for the failure message
  google::protobuf::Struct fields;

  const google::protobuf::Value& at(const std::string& name) const { return fields.fields().at(name); }
  std::string text(const std::string& name) const { return at(name).string_value(); }
  double number(const std::string& name) const { return at(name).number_value(); }
  bool flag(const std::string& name) const { return at(name).bool_value(); }
};

// Fails the test and returns nothing when the file cannot be read.
std::vector<Row> ReadRows(const std::string& file);

// Fails the test when the value is not such a message. Unknown fields are ignored.
void DecodeInto(const google::protobuf::Value& value, google::protobuf::Message& message);

void DecodeYaml(std::string_view text, google::protobuf::Message& message);

// A message written as YAML in the test itself; unknown fields fail the test.
template <class Message>
Message FromYaml(std::string_view text) {
  Message message;
  DecodeYaml(text, message);
  return message;
}

}  // namespace daemonsetd::decide
