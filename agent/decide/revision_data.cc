#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "agent/decide/revisions.h"
#include "agent/model/document_reader.h"
#include "agent/model/json_reader.h"
#include "agent/model/message_decoder.h"
#include "agent/model/tree_writer.h"

namespace daemonsetd::decide {
namespace {

using model::Node;

constexpr char kDirective[] = "$patch";

// Errors name the field only: the caller says what object it is.
Result<const Node*> ReadObject(std::string_view text, model::Tree& tree) {
  if (text.size() > model::kMaxTextSize) {
    return Error(ErrorKind::kInvalid, fmt::format("is longer than {} bytes", model::kMaxTextSize));
  }
  std::vector<const Node*> roots;
  if (const auto error = model::ReadJson(text, tree, roots)) return Error(ErrorKind::kInvalid, error->message);
  if (roots.size() != 1 || roots[0]->kind != Node::Kind::kMapping) {
    return Error(ErrorKind::kInvalid, "is not one JSON object");
  }
  return roots[0];
}

// JSON readers disagree on which of two equal keys counts, so neither does.
Result<const Node*> OnlyMember(const Node& object, std::string_view key) {
  const Node* found = nullptr;
  for (const model::Member& member : object.members) {
    if (member.key != key) continue;
    if (found != nullptr) return Error(ErrorKind::kInvalid, fmt::format("has \"{}\" twice", key));
    found = member.value;
  }
  if (found == nullptr) return Error(ErrorKind::kInvalid, fmt::format("has no \"{}\"", key));
  return found;
}

Result<const Node*> TemplateNode(std::string_view text, model::Tree& tree) {
  Result<const Node*> node = ReadObject(text, tree);
  for (const char* key : {"spec", "template"}) {
    if (node) node = OnlyMember(**node, key);
    if (node && (*node)->kind != Node::Kind::kMapping) {
      return Error(ErrorKind::kInvalid, fmt::format("\"{}\" is not an object", key));
    }
  }
  return node;
}

// With every object's keys in the order in which Go writes a map. Leaves are shared, so that a number keeps its text.
Result<const Node*> Sorted(const Node& node, model::Tree& tree) {
  if (node.kind == Node::Kind::kSequence) {
    Node* copy = tree.New(node.kind);
    copy->items.reserve(node.items.size());
    for (const Node* item : node.items) {
      const Result<const Node*> sorted = Sorted(*item, tree);
      if (!sorted) return sorted;
      copy->items.push_back(*sorted);
    }
    return copy;
  }
  if (node.kind != Node::Kind::kMapping) return &node;
  Node* copy = tree.New(node.kind);
  copy->members.reserve(node.members.size());
  for (const model::Member& member : node.members) {
    const Result<const Node*> sorted = Sorted(*member.value, tree);
    if (!sorted) return sorted;
    copy->members.push_back({.key = member.key, .value = *sorted});
  }
  std::sort(copy->members.begin(), copy->members.end(),
            [](const model::Member& a, const model::Member& b) { return a.key < b.key; });
  const auto twice = std::adjacent_find(copy->members.begin(), copy->members.end(),
                                        [](const model::Member& a, const model::Member& b) { return a.key == b.key; });
  if (twice != copy->members.end()) {
    return Error(ErrorKind::kInvalid, fmt::format("has \"{}\" twice in one object", twice->key));
  }
  return copy;
}

Node* Wrap(std::string_view key, const Node* value, model::Tree& tree) {
  Node* object = tree.New(Node::Kind::kMapping);
  object->members.push_back({.key = std::string(key), .value = value});
  return object;
}

// Go's encoder writes some characters otherwise than ours. All of them stand in strings only; an escaped backslash
// comes first, so that what follows it is taken for the text that it is.
std::string EscapeLikeGo(std::string_view json) {
  constexpr std::pair<std::string_view, std::string_view> kEscapes[] = {
      {"\\\\", "\\\\"},           {"<", "\\u003c"},   {">", "\\u003e"},    {"&", "\\u0026"},
      {"\\u0008", "\\b"},         {"\\u000c", "\\f"}, {"\\u007f", "\x7F"}, {"\xE2\x80\xA8", "\\u2028"},
      {"\xE2\x80\xA9", "\\u2029"}};
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const auto escape = std::find_if(std::begin(kEscapes), std::end(kEscapes),
                                     [&](const auto& entry) { return json.starts_with(entry.first); });
    const bool found = escape != std::end(kEscapes);
    out += found ? escape->second : json.substr(0, 1);
    json.remove_prefix(found ? escape->first.size() : 1);
  }
  return out;
}

}  // namespace

Result<corev1::PodTemplateSpec> TemplateOf(const appsv1::ControllerRevision& revision) {
  const auto broken = [&](const Error& error) {
    return error.WithContext(
        fmt::format("ControllerRevision {}/{}: data", revision.metadata().namespace_(), revision.metadata().name()));
  };
  model::Tree tree;
  const Result<const Node*> node = TemplateNode(revision.data().raw(), tree);
  if (!node) return broken(node.error());
  // Without the directive an undo would merge it into the present template and give something else.
  const Result<const Node*> directive = OnlyMember(**node, kDirective);
  if (!directive) return broken(directive.error());
  if ((*directive)->kind != Node::Kind::kString || (*directive)->text != "replace") {
    return broken(Error(ErrorKind::kInvalid, "\"$patch\" is not \"replace\""));
  }
  corev1::PodTemplateSpec pod_template;
  const auto problems = model::DecodeMessage(**node, pod_template, /*strict=*/false);
  if (!problems.empty()) {
    return broken(
        Error(ErrorKind::kInvalid, fmt::format("spec.template.{}: {}", problems[0].field, problems[0].message)));
  }
  return pod_template;
}

Result<std::string> RevisionData(const std::string& daemon_set_json) {
  model::Tree tree;
  const Result<const Node*> node = TemplateNode(daemon_set_json, tree);
  if (!node) return node.error().WithContext("DaemonSet");

  Node* pod_template = tree.New(Node::Kind::kMapping);
  for (const model::Member& member : (*node)->members) {
    if (member.key != kDirective) pod_template->members.push_back(member);
  }
  pod_template->members.push_back({.key = kDirective, .value = tree.NewScalar(Node::Kind::kString, "replace")});
  const Result<const Node*> sorted = Sorted(*pod_template, tree);
  if (!sorted) return sorted.error().WithContext("DaemonSet: spec.template");
  return EscapeLikeGo(model::WriteJson(*Wrap("spec", Wrap("template", *sorted, tree), tree), /*indent=*/0));
}

}  // namespace daemonsetd::decide
