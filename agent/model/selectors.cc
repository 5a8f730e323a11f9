#include "agent/model/selectors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace daemonsetd::model {
namespace {

template <class Requirement>
bool HasValue(const Requirement& requirement, const std::string& value) {
  return std::find(requirement.values().begin(), requirement.values().end(), value) != requirement.values().end();
}

// Base 10 with an optional sign, as strconv.ParseInt(text, 10, 64).
std::optional<std::int64_t> ParseInt64(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

Result<bool> Matches(const metav1::LabelSelector& selector, const Labels& labels) {
  const auto bad_values = [](const metav1::LabelSelectorRequirement& requirement, std::string_view what) {
    return Error(ErrorKind::kInvalid, fmt::format("selector requirement for \"{}\": {} {}", requirement.key(),
                                                  requirement.operator_(), what));
  };
  // Every requirement is looked at, so that a wrong one is an error and not a matter of the labels.
  bool matches = true;
  for (const auto& [key, value] : selector.matchlabels()) {
    const auto label = labels.find(key);
    if (label == labels.end() || label->second != value) matches = false;
  }
  for (const metav1::LabelSelectorRequirement& requirement : selector.matchexpressions()) {
    const auto label = labels.find(requirement.key());
    const bool present = label != labels.end();
    const std::string& op = requirement.operator_();
    if (op == "In" || op == "NotIn") {
      if (requirement.values().empty()) return bad_values(requirement, "needs at least one value");
      const bool in = present && HasValue(requirement, label->second);
      if (in != (op == "In")) matches = false;
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!requirement.values().empty()) return bad_values(requirement, "takes no values");
      if (present != (op == "Exists")) matches = false;
    } else {
      return Error(ErrorKind::kInvalid,
                   fmt::format("selector requirement for \"{}\": unknown operator \"{}\"; use In, NotIn, Exists or "
                               "DoesNotExist",
                               requirement.key(), op));
    }
  }
  return matches;
}

bool MatchesExpression(const corev1::NodeSelectorRequirement& requirement, const Labels& labels) {
  const auto label = labels.find(requirement.key());
  const bool present = label != labels.end();
  const std::string& op = requirement.operator_();
  const int values = requirement.values_size();
  if (op == "In") return values > 0 && present && HasValue(requirement, label->second);
  if (op == "NotIn") return values > 0 && (!present || !HasValue(requirement, label->second));
  if (op == "Exists") return values == 0 && present;
  if (op == "DoesNotExist") return values == 0 && !present;
  if ((op == "Gt" || op == "Lt") && values == 1 && present) {
    const std::optional<std::int64_t> own = ParseInt64(label->second);
    const std::optional<std::int64_t> limit = ParseInt64(requirement.values(0));
    if (!own || !limit) return false;
    return op == "Gt" ? *own > *limit : *own < *limit;
  }
  return false;
}

bool MatchesField(const corev1::NodeSelectorRequirement& requirement, const std::string& node_name) {
  if (requirement.key() != "metadata.name" || requirement.values_size() != 1) return false;
  if (requirement.operator_() == "In") return requirement.values(0) == node_name;
  if (requirement.operator_() == "NotIn") return requirement.values(0) != node_name;
  return false;
}

bool Tolerates(const corev1::Toleration& toleration, const corev1::Taint& taint) {
  if (!toleration.effect().empty() && toleration.effect() != taint.effect()) return false;
  if (!toleration.key().empty() && toleration.key() != taint.key()) return false;
  if (toleration.operator_().empty() || toleration.operator_() == "Equal") return toleration.value() == taint.value();
  return toleration.operator_() == "Exists";
}

std::string ToString(const corev1::Taint& taint) {
  if (taint.value().empty()) return fmt::format("{}:{}", taint.key(), taint.effect());
  return fmt::format("{}={}:{}", taint.key(), taint.value(), taint.effect());
}

std::string ToString(const corev1::NodeSelectorRequirement& requirement) {
  const std::string& op = requirement.operator_();
  if (op == "Gt" || op == "Lt") {
    return fmt::format("{} {} {}", requirement.key(), op, fmt::join(requirement.values(), " "));
  }
  if (requirement.values().empty()) return fmt::format("{} {}", requirement.key(), op);
  return fmt::format("{} {} [{}]", requirement.key(), op, fmt::join(requirement.values(), " "));
}

}  // namespace daemonsetd::model
