// How an unquoted YAML scalar reads: the YAML 1.1 rules that Kubernetes' tools follow (sigs.k8s.io/yaml).
#pragma once

#include <string>
#include <string_view>

#include "agent/model/document_tree.h"

namespace daemonsetd::model {

struct PlainScalar {
  Node::Kind kind = Node::Kind::kString;
  std::string text;  // as in Node
};

// "yes" is a boolean, "0644" the number 420, "1_000" the number 1000, "~" null, "2026-11-25" a string.
PlainScalar ResolvePlain(std::string_view text);

// The shortest text that reads back as the same number, as Go's JSON writes it.
std::string FormatNumber(double number);

}  // namespace daemonsetd::model
