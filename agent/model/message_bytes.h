// A message's wire form that is the same for equal messages: maps in the order of their keys.
#pragma once

#include <string>

#include <google/protobuf/message.h>

namespace daemonsetd::model {

std::string DeterministicBytes(const google::protobuf::Message& message);

}  // namespace daemonsetd::model
