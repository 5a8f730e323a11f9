#include "tests/unit/decide/vectors.h"

#include <fstream>

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "agent/model/codec.h"

namespace daemonsetd::decide {

std::vector<Row> ReadRows(const std::string& file) {
  std::ifstream input(std::string(DAEMONSETD_TESTDATA) + "/" + file);
  EXPECT_TRUE(input.good()) << "cannot read " << file;
  std::vector<Row> rows;
  std::string line;
  int number = 0;
  while (std::getline(input, line)) {
    Row row;
    row.line = ++number;
    const auto status = google::protobuf::util::JsonStringToMessage(line, &row.fields);
    EXPECT_TRUE(status.ok()) << file << ":" << number << ": " << status.ToString();
    rows.push_back(std::move(row));
  }
  return rows;
}

void DecodeInto(const google::protobuf::Value& value, google::protobuf::Message& message) {
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(value, &json).ok());
  const Status status = model::DecodeObject(json, message, /*strict=*/false);
  ASSERT_TRUE(status) << status.error().message() << " in " << json;
}

void DecodeYaml(std::string_view text, google::protobuf::Message& message) {
  const Status status = model::DecodeObject(text, message);
  ASSERT_TRUE(status) << status.error().message() << " in\n" << text;
}

}  // namespace daemonsetd::decide
