// JSON as YAML, for -o yaml: the same names in the same order.
#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "agent/ctl/commands.h"

namespace daemonsetd::ctl {

// `json` must be well formed; it comes from our own printer. Block style, texts quoted wherever YAML would read them as
// something else.
std::string JsonToYaml(std::string_view json);

// The whole document that -o json or -o yaml prints.
std::string Serialise(const google::protobuf::Message& message, Output output);

}  // namespace daemonsetd::ctl
