// The reference's answers for real manifests: what its defaulting makes of them and what its validation finds.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

#include "agent/model/defaulting.h"
#include "agent/model/validation.h"
#include "kubernetes/runtime.pb.h"
#include "tests/support/message_equality.h"
#include "tests/support/test_data.h"

namespace daemonsetd::model {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The answers are read with Boost.JSON and protobuf's reflection and not with our own codec, so that a fault of the
// codec can't hide one of the defaults.
class AnswerReader {
 public:
  static void Read(const boost::json::object& json, Message& message) {
    for (const auto& [name, value] : json) {
      if (!value.is_null()) {
        ReadField(std::string(name), value, message);
      }
    }
  }

 private:
  static bool IsInline(const FieldDescriptor& field) {
    return field.name() == "volumeSource" || field.name() == "handler" || field.name() == "localObjectReference" ||
           field.name() == "ephemeralContainerCommon";
  }

  static void ReadField(const std::string& name, const boost::json::value& value, Message& message) {
    const auto& descriptor = *message.GetDescriptor();
    if (const FieldDescriptor* field = descriptor.FindFieldByName(name)) {
      return ReadValue(value, *field, message);
    }
    for (int i = 0; i < descriptor.field_count(); ++i) {
      const FieldDescriptor& outer = *descriptor.field(i);
      if (IsInline(outer) && outer.message_type()->FindFieldByName(name) != nullptr) {
        return ReadField(name, value, *message.GetReflection()->MutableMessage(&message, &outer));
      }
    }
    if (name != "apiVersion" && name != "kind") {
      throw std::runtime_error(descriptor.full_name() + " has no field " + name);
    }
  }

  static void ReadValue(const boost::json::value& value, const FieldDescriptor& field, Message& message) {
    const auto& reflection = *message.GetReflection();
    if (field.is_map()) {
      for (const auto& [key, element] : value.as_object()) {
        Message& entry = *reflection.AddMessage(&message, &field);
        entry.GetReflection()->SetString(&entry, field.message_type()->map_key(), std::string(key));
        ReadOne(element, *field.message_type()->map_value(), entry);
      }
    } else if (field.is_repeated()) {
      for (const auto& element : value.as_array()) {
        ReadOne(element, field, message);
      }
    } else {
      ReadOne(value, field, message);
    }
  }

  static void ReadOne(const boost::json::value& value, const FieldDescriptor& field, Message& message) {
    const auto& reflection = *message.GetReflection();
    const bool many = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: {
        const auto number = value.to_number<std::int32_t>();
        many ? reflection.AddInt32(&message, &field, number) : reflection.SetInt32(&message, &field, number);
        return;
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        const auto number = value.to_number<std::int64_t>();
        many ? reflection.AddInt64(&message, &field, number) : reflection.SetInt64(&message, &field, number);
        return;
      }
      case FieldDescriptor::CPPTYPE_BOOL: return reflection.SetBool(&message, &field, value.as_bool());
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string text(value.as_string());
        many ? reflection.AddString(&message, &field, text) : reflection.SetString(&message, &field, text);
        return;
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return ReadMessage(
            value, many ? *reflection.AddMessage(&message, &field) : *reflection.MutableMessage(&message, &field));
      default: throw std::runtime_error("unexpected type of " + field.full_name());
    }
  }

  static void ReadMessage(const boost::json::value& value, Message& message) {
    const std::string& type = message.GetDescriptor()->name();
    if (type == "Quantity") {
      static_cast<resourcev1::Quantity&>(message).set_string(std::string(value.as_string()));
    } else if (type == "IntOrString") {
      auto& number = static_cast<intstrv1::IntOrString&>(message);
      if (value.is_string()) {
        number.set_type(1);
        number.set_strval(std::string(value.as_string()));
      } else {
        number.set_intval(value.to_number<std::int32_t>());
      }
    } else if (type == "Time") {
      google::protobuf::Timestamp time;
      if (!google::protobuf::util::TimeUtil::FromString(std::string(value.as_string()), &time)) {
        throw std::runtime_error("not a time");
      }
      static_cast<metav1::Time&>(message).set_seconds(time.seconds());
    } else if (type == "FieldsV1") {
      static_cast<metav1::FieldsV1&>(message).set_raw(boost::json::serialize(value));
    } else {
      Read(value.as_object(), message);
    }
  }
};

std::string DecodeBase64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<unsigned>(kDigits.find(c) & 63);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xff);
    }
  }
  return bytes;
}

// The API server's binary form: 4 bytes of magic, then the object in an envelope.
appsv1::DaemonSet DecodeProtobuf(const boost::json::string& text) {
  const std::string bytes = DecodeBase64(text);
  ::k8s::io::apimachinery::pkg::runtime::Unknown envelope;
  appsv1::DaemonSet daemon_set;
  if (!bytes.starts_with(std::string("k8s\0", 4)) || !envelope.ParseFromString(bytes.substr(4)) ||
      !daemon_set.ParseFromString(envelope.raw())) {
    throw std::runtime_error("the vector does not hold a DaemonSet");
  }
  return daemon_set;
}

template <class Check>
int ForEachManifest(Check check) {
  const auto files = boost::json::parse(testing::ReadTestData("tests/unit/model/testdata/manifests.json")).as_object();
  int count = 0;
  for (const auto& [file, documents] : files) {
    if (documents.is_null()) {
      continue;  // a file without a DaemonSet of apps/v1
    }
    for (const auto& document : documents.as_array()) {
      SCOPED_TRACE(std::string(file) + " document " + std::to_string(document.at("document").to_number<int>()));
      check(document.as_object());
      ++count;
    }
  }
  return count;
}

TEST(ManifestsTest, DefaultsLikeTheReference) {
  const int count = ForEachManifest([](const boost::json::object& document) {
    appsv1::DaemonSet expected;
    AnswerReader::Read(document.at("defaulted").as_object(), expected);
    appsv1::DaemonSet actual = DecodeProtobuf(document.at("protobuf").as_string());
    SetDefaults(actual);
    EXPECT_TRUE(testing::SameMessage(expected, actual));
  });
  EXPECT_EQ(count, 88);
}

TEST(ManifestsTest, DefaultingTwiceChangesNothing) {
  ForEachManifest([](const boost::json::object& document) {
    appsv1::DaemonSet once = DecodeProtobuf(document.at("protobuf").as_string());
    SetDefaults(once);
    appsv1::DaemonSet twice = once;
    SetDefaults(twice);
    EXPECT_TRUE(testing::SameMessage(once, twice));
  });
}

TEST(ManifestsTest, FindsTheErrorsThatTheReferenceFinds) {
  const int count = ForEachManifest([](const boost::json::object& document) {
    std::multiset<std::string> expected;
    if (const auto* errors = document.if_contains("errors"); errors != nullptr && !errors->is_null()) {
      for (const auto& error : errors->as_array()) {
        expected.insert(std::string(error.at("field").as_string()) + " " + std::string(error.at("type").as_string()));
      }
    }
    appsv1::DaemonSet daemon_set = DecodeProtobuf(document.at("protobuf").as_string());
    SetDefaults(daemon_set);
    std::multiset<std::string> actual;
    for (const FieldError& error : Validate(daemon_set)) {
      actual.insert(error.field + " " + std::string(UpstreamName(error.type)));
    }
    EXPECT_EQ(actual, expected);
  });
  EXPECT_EQ(count, 88);
}

}  // namespace
}  // namespace daemonsetd::model
