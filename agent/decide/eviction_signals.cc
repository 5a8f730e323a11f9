#include "agent/decide/eviction_signals.h"

#include <charconv>

#include <fmt/format.h>

#include "agent/model/quantity.h"

namespace daemonsetd::decide {

std::string_view NameOf(EvictionSignal signal) { return kEvictionSignals.at(static_cast<std::size_t>(signal)).name; }

std::optional<EvictionSignal> FindEvictionSignal(std::string_view name) {
  for (const EvictionSignalName& signal : kEvictionSignals) {
    if (signal.name == name) return signal.signal;
  }
  return std::nullopt;
}

std::uint64_t ThresholdAmount(const EvictionThreshold& threshold, std::uint64_t capacity) {
  if (threshold.percent <= 0) return threshold.amount;
  return static_cast<std::uint64_t>(static_cast<double>(capacity) * threshold.percent / 100);
}

Result<EvictionThreshold> ParseEvictionThreshold(std::string_view text) {
  EvictionThreshold threshold;
  if (text.ends_with('%')) {
    const std::string_view number = text.substr(0, text.size() - 1);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), threshold.percent, std::chars_format::fixed);
    if (error != std::errc() || end != number.data() + number.size()) {
      return Error(ErrorKind::kInvalid, fmt::format("\"{}\" is not a percentage; write for example 10%", text));
    }
    if (!(threshold.percent >= 0 && threshold.percent < 100)) {
      return Error(ErrorKind::kInvalid, fmt::format("{} is out of range; write 0% to less than 100%", text));
    }
    return threshold;
  }
  const Result<model::Quantity> quantity = model::Quantity::Parse(text);
  if (!quantity) {
    return Error(ErrorKind::kInvalid, fmt::format("{}; write for example 100Mi or 10%", quantity.error().message()));
  }
  if (quantity->Sign() < 0) {
    return Error(ErrorKind::kInvalid, fmt::format("\"{}\" is negative; write 0 or more", text));
  }
  threshold.amount = static_cast<std::uint64_t>(quantity->Value());
  return threshold;
}

}  // namespace daemonsetd::decide
