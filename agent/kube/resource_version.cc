#include "agent/kube/resource_version.h"

#include <algorithm>

namespace daemonsetd::kube {
namespace {

bool IsNumber(std::string_view text) {
  return !text.empty() && text.front() != '0' &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::strong_ordering> CompareResourceVersions(std::string_view left, std::string_view right) {
  if (!IsNumber(left) || !IsNumber(right)) return std::nullopt;
  if (left.size() != right.size()) return left.size() <=> right.size();
  return left <=> right;
}

bool IsOlder(std::string_view left, std::string_view right) {
  const auto order = CompareResourceVersions(left, right);
  return order && *order == std::strong_ordering::less;
}

}  // namespace daemonsetd::kube
