// Trees to messages: the one walk that knows field names, types and the special forms.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "agent/model/document_tree.h"

namespace daemonsetd::model {

struct FieldProblem {
  int line = 0;
  std::string field;  // empty for the object itself
  std::string message;
};

// Fills `message` from a mapping, without clearing it first. apiVersion and kind are taken by messages that have such
// fields and accepted by the others. With `strict` false unknown fields are left out silently.
std::vector<FieldProblem> DecodeMessage(const Node& node, google::protobuf::Message& message, bool strict);

// The word with the fewest differences, if it is near enough to be a slip; else nothing.
std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace daemonsetd::model
