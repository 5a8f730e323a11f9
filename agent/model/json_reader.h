// JSON texts to trees. Keeps duplicate keys and lines, which is why it is our own.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "agent/model/document_tree.h"

namespace daemonsetd::model {

// Appends each value of `text` to `roots`. Strict RFC 8259, except that several values may follow each other.
std::optional<SyntaxError> ReadJson(std::string_view text, Tree& tree, std::vector<const Node*>& roots);

}  // namespace daemonsetd::model
