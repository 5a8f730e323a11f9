#include "agent/ctl/label_filter.h"

#include <string>
#include <vector>

#include <fmt/format.h>

namespace daemonsetd::ctl {
namespace {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// At commas outside parentheses.
std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      parts.push_back(Trim(text.substr(begin, i - begin)));
      begin = i + 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')') {
      --depth;
    }
  }
  return parts;
}

bool IsWord(std::string_view text) { return !text.empty() && text.find_first_of(" ()=!,") == std::string_view::npos; }

Status Add(metav1::LabelSelector& selector, std::string_view part, std::string_view key, const char* verb,
           const std::vector<std::string_view>& values) {
  key = Trim(key);
  if (!IsWord(key)) {
    return Error(
        ErrorKind::kInvalid,
        fmt::format("label selector \"{}\" is not of the form key=value, key!=value, key, !key, key in (a,b) or "
                    "key notin (a,b)",
                    part));
  }
  metav1::LabelSelectorRequirement& requirement = *selector.add_matchexpressions();
  requirement.set_key(std::string(key));
  requirement.set_operator_(verb);
  for (const std::string_view value : values) requirement.add_values(std::string(Trim(value)));
  return Ok();
}

}  // namespace

Result<metav1::LabelSelector> ParseLabelFilter(std::string_view text) {
  metav1::LabelSelector selector;
  if (Trim(text).empty()) return selector;
  for (const std::string_view part : Split(text)) {
    Status added = Ok();
    const auto open = part.find('(');
    if (open != std::string_view::npos && part.ends_with(')')) {
      std::string_view head = Trim(part.substr(0, open));
      const std::vector<std::string_view> values = Split(part.substr(open + 1, part.size() - open - 2));
      const bool negated = head.ends_with(" notin");
      const bool in = head.ends_with(" in");
      head.remove_suffix(negated ? 6 : in ? 3 : 0);
      added = Add(selector, part, negated || in ? head : std::string_view(), negated ? "NotIn" : "In", values);
    } else if (const auto unequal = part.find("!="); unequal != std::string_view::npos) {
      added = Add(selector, part, part.substr(0, unequal), "NotIn", {part.substr(unequal + 2)});
    } else if (const auto equal = part.find('='); equal != std::string_view::npos) {
      const std::size_t length = part.substr(equal).starts_with("==") ? 2 : 1;
      added = Add(selector, part, part.substr(0, equal), "In", {part.substr(equal + length)});
    } else if (part.starts_with('!')) {
      added = Add(selector, part, part.substr(1), "DoesNotExist", {});
    } else {
      added = Add(selector, part, part, "Exists", {});
    }
    if (!added) return added.error();
  }
  return selector;
}

}  // namespace daemonsetd::ctl
