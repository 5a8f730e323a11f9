// The documents of a YAML or JSON text, each as a tree or as a syntax error.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "agent/model/document_tree.h"

namespace daemonsetd::model {

constexpr std::size_t kMaxTextSize = 3 * 1024 * 1024;
// Aliases may stand for this many times the text's own size.
constexpr std::size_t kMaxAliasExpansion = 10;

struct ReadDocument {
  const Node* root = nullptr;  // null when there is an error
  std::optional<SyntaxError> error;
};

// In the text's order; empty documents (null) are left out. Nothing in here throws.
std::vector<ReadDocument> ReadDocuments(std::string_view text, Tree& tree);

}  // namespace daemonsetd::model
