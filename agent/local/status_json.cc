#include "agent/local/status_json.h"

#include <memory>

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include "agent/model/message_bytes.h"

namespace daemonsetd::local {
namespace {

constexpr char kTypeUrlPrefix[] = "type.googleapis.com";

}  // namespace

std::string ToJson(const google::protobuf::Message& message, bool indent) {
  // MessageToJsonString prints maps in hash order, which differs between equal messages: encode in sorted order first.
  const std::string binary = model::DeterministicBytes(message);
  const std::unique_ptr<google::protobuf::util::TypeResolver> resolver(
      google::protobuf::util::NewTypeResolverForDescriptorPool(kTypeUrlPrefix,
                                                               message.GetDescriptor()->file()->pool()));
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.add_whitespace = indent;
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(
      resolver.get(), std::string(kTypeUrlPrefix) + "/" + message.GetDescriptor()->full_name(), binary, &json, options);
  if (!status.ok()) {
    // Only texts that are not UTF-8 get here; they must not take the whole answer away without a word.
    statusv1::ErrorAnswer answer;
    answer.set_error("the agent could not render " + message.GetDescriptor()->name() + ": " + status.ToString());
    answer.set_hint("report this as a bug of daemonsetd");
    return ToJson(answer, indent);
  }
  return json;
}

Status FromJson(std::string_view text, google::protobuf::Message& message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(text.data(), text.size()), &message, options);
  if (!status.ok()) return Error(ErrorKind::kInvalid, std::string(status.message()));
  return Ok();
}

}  // namespace daemonsetd::local
