// What YAML and JSON texts have in common: a tree of values in JSON's terms, each with its line.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace daemonsetd::model {

constexpr int kMaxNesting = 100;

struct Node;

struct Member {
  std::string key;
  int line = 0;
  const Node* value = nullptr;
};

struct Node {
  enum class Kind { kNull, kBool, kNumber, kString, kSequence, kMapping };

  Kind kind = Kind::kNull;
  int line = 0;      // 1-based; 0 in trees that were not read from a text
  std::string text;  // "true", a number in JSON's form, or the string itself
  std::vector<const Node*> items;
  std::vector<Member> members;  // in the text's order, duplicates kept

  // With every alias followed: what a walk over this node costs and how deep it goes.
  std::size_t weight = 1;
  int height = 1;

  const Node* Find(std::string_view key) const {
    for (const Member& member : members) {
      if (member.key == key) return member.value;
    }
    return nullptr;
  }
};

// Owns nodes; their addresses stay. Aliases make the tree a graph without cycles.
class Tree {
 public:
  Node* New(Node::Kind kind, int line = 0) {
    Node& node = nodes_.emplace_back();
    node.kind = kind;
    node.line = line;
    return &node;
  }
  Node* NewScalar(Node::Kind kind, std::string text, int line = 0) {
    Node* node = New(kind, line);
    node->weight += text.size();
    node->text = std::move(text);
    return node;
  }

 private:
  std::deque<Node> nodes_;
};

struct SyntaxError {
  int line = 0;
  std::string message;
};

}  // namespace daemonsetd::model
