#include "agent/base/duration.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

namespace daemonsetd {
namespace {

struct Unit {
  std::string_view text;
  std::int64_t nanos;
};
constexpr std::array kUnits = {
    Unit{"ns", 1},          Unit{"us", 1'000},        Unit{"\u00b5s", 1'000},  // micro sign
    Unit{"\u03bcs", 1'000},                                                    // Greek letter mu
    Unit{"ms", 1'000'000},  Unit{"s", 1'000'000'000}, Unit{"m", 60'000'000'000}, Unit{"h", 3'600'000'000'000},
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

Error Invalid(std::string_view text, std::string_view why) {
  return Error(ErrorKind::kInvalid, fmt::format("\"{}\" is not a duration: {}", text, why));
}

std::string_view TakeDigits(std::string_view& rest) {
  std::size_t length = 0;
  while (length < rest.size() && IsDigit(rest[length])) ++length;
  const std::string_view digits = rest.substr(0, length);
  rest.remove_prefix(length);
  return digits;
}

// number * unit in nanoseconds; unset when it does not fit.
std::optional<std::int64_t> Scale(std::string_view whole, std::string_view fraction, std::int64_t unit) {
  std::int64_t value = 0;
  for (const char c : whole) {
    if (__builtin_mul_overflow(value, std::int64_t{10}, &value)) return std::nullopt;
    if (__builtin_add_overflow(value, std::int64_t{c - '0'}, &value)) return std::nullopt;
  }
  if (__builtin_mul_overflow(value, unit, &value)) return std::nullopt;
  // The largest unit has 13 digits, so digits beyond the 13th can't be worth a nanosecond.
  std::int64_t place = unit;
  std::int64_t part = 0;
  for (const char c : fraction) {
    if (place == 0) break;
    part += (c - '0') * place;  // scaled by 10 to lose nothing before the last division
    place /= 10;
  }
  if (__builtin_add_overflow(value, part / 10, &value)) return std::nullopt;
  return value;
}

}  // namespace

Result<Nanoseconds> ParseDuration(std::string_view text) {
  if (text.size() > 64) return Error(ErrorKind::kInvalid, "a duration of more than 64 characters");
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest.empty()) return Invalid(text, "write a number and a unit, for example \"10s\"");
  if (rest == "0") return Nanoseconds::zero();

  std::int64_t total = 0;
  while (!rest.empty()) {
    const std::string_view whole = TakeDigits(rest);
    std::string_view fraction;
    if (!rest.empty() && rest[0] == '.') {
      rest.remove_prefix(1);
      fraction = TakeDigits(rest);
    }
    if (whole.empty() && fraction.empty()) {
      return Invalid(text, "write a number and a unit, for example \"10s\" or \"1m30s\"");
    }
    std::size_t length = 0;
    while (length < rest.size() && rest[length] != '.' && !IsDigit(rest[length])) ++length;
    const std::string_view unit_text = rest.substr(0, length);
    rest.remove_prefix(length);
    if (unit_text.empty()) return Invalid(text, fmt::format("the unit is missing; write \"{}s\" for seconds", text));
    const Unit* found = nullptr;
    for (const Unit& unit : kUnits) {
      if (unit.text == unit_text) found = &unit;
    }
    if (found == nullptr) {
      return Invalid(text, fmt::format("unknown unit \"{}\"; the units are ns, us, ms, s, m and h", unit_text));
    }
    const std::optional<std::int64_t> part = Scale(whole, fraction, found->nanos);
    if (!part || __builtin_add_overflow(total, *part, &total)) {
      return Invalid(text, "it is too long; the longest is about 292 years");
    }
  }
  return Nanoseconds(negative ? -total : total);
}

}  // namespace daemonsetd
