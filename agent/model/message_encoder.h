// Messages to trees in the form of Kubernetes' JSON.
#pragma once

#include <google/protobuf/message.h>

#include <string_view>

#include "agent/model/document_tree.h"

namespace daemonsetd::model {

// `api_version` and `kind` come first when not empty, in place of the message's own.
const Node* EncodeMessage(const google::protobuf::Message& message, std::string_view api_version, std::string_view kind,
                          Tree& tree);

}  // namespace daemonsetd::model
