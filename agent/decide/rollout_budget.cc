#include "agent/decide/rollout_budget.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

namespace daemonsetd::decide {
namespace {

constexpr std::int64_t kStringType = 1;  // IntOrString.type: 0 is the number, 1 the text

}  // namespace

std::int32_t RoundUpBudget(const intstrv1::IntOrString& budget, std::int32_t desired) {
  if (budget.type() != kStringType) return std::max(budget.intval(), 0);

  std::string_view text = budget.strval();
  if (text.empty() || text.back() != '%') return 0;
  text.remove_suffix(1);
  std::int32_t percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || end != text.data() + text.size() || percent <= 0 || desired <= 0) return 0;

  const std::int64_t nodes = (std::int64_t{percent} * desired + 99) / 100;
  return static_cast<std::int32_t>(std::min<std::int64_t>(nodes, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace daemonsetd::decide
