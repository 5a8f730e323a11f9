// The messages of proto/status.proto as JSON. The same text for equal messages: maps are sorted by key.
#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "agent/base/result.h"
#include "status.pb.h"

namespace daemonsetd {
namespace statusv1 = ::daemonsetd::status::v1;
}  // namespace daemonsetd

namespace daemonsetd::local {

// lowerCamel names, default values printed. One line without a line end, or indented with a line end after the last
// brace.
std::string ToJson(const google::protobuf::Message& message, bool indent = false);

// Fields that this version does not know are ignored: agent and daemonsetctl may be of different versions. kInvalid.
Status FromJson(std::string_view text, google::protobuf::Message& message);

}  // namespace daemonsetd::local
