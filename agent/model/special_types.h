// Where Kubernetes' JSON differs from the messages on the wire (the list is in codec.h).
#pragma once

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daemonsetd::model {

enum class JsonForm {
  kObject,       // field by field
  kQuantity,     // string or number
  kIntOrString,  // number or string
  kTime,         // RFC 3339 string, whole seconds
  kMicroTime,    // RFC 3339 string, microseconds
  kRawJson,      // any JSON value, kept as its text
  kStringList,   // a list of strings: the message has only `items`
};
JsonForm FormOf(const google::protobuf::Descriptor* type);

// Is this message's content written straight into its parent?
bool IsInline(const google::protobuf::FieldDescriptor* field);
// "containers"; "uid" for the one field whose Go name leaked into the wire names.
std::string_view JsonName(const google::protobuf::FieldDescriptor* field);

struct Moment {
  std::int64_t seconds = 0;  // since 1970-01-01T00:00:00Z
  std::int32_t nanos = 0;
};
std::optional<Moment> ParseRfc3339(std::string_view text);
// Nothing outside of the years 1 to 9999, which RFC 3339 can't write.
std::optional<std::string> FormatMoment(Moment moment, bool with_micros);

std::optional<std::string> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view data);

}  // namespace daemonsetd::model
