// Trees to text.
#pragma once

#include <string>

#include "agent/model/document_tree.h"

namespace daemonsetd::model {

// `indent` 0: one line without spaces, as Go's json.Marshal; else as json.MarshalIndent. Broken UTF-8 becomes U+FFFD.
std::string WriteJson(const Node& node, int indent);

// Block style as kubectl prints it: lists are not indented in their mapping, strings are quoted only where YAML 1.1
// would read something else, texts of several lines are literal blocks.
std::string WriteYaml(const Node& node);

}  // namespace daemonsetd::model
