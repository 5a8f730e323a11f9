#include "agent/model/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

namespace daemonsetd::model {
namespace {

template <std::size_t N>
bool Contains(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::string> ReadInteger(std::string_view text) {
  const bool negative = text[0] == '-';
  if (negative || text[0] == '+') text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = text[1];
    if (mark == 'x' || mark == 'X') base = 16;
    if (mark == 'b' || mark == 'B') base = 2;
    if (mark == 'o' || mark == 'O' || IsDigit(mark)) base = 8;
    if (base != 10) text.remove_prefix(IsDigit(mark) ? 1 : 2);
  }
  if (text.empty() || text[0] == '-' || text[0] == '+') return std::nullopt;
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (negative && magnitude > std::uint64_t{1} << 63) return std::nullopt;
  return (negative && magnitude != 0 ? "-" : "") + std::to_string(magnitude);
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool LooksLikeFloat(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t start = at;
    while (at < text.size() && IsDigit(text[at])) ++at;
    return at - start;
  };
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
  const std::size_t whole = digits();
  std::size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    fraction = digits();
  }
  if (whole == 0 && fraction == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

}  // namespace

std::string FormatNumber(double number) {
  std::array<char, 512> buffer;
  const double magnitude = std::fabs(number);
  const bool scientific = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format);
  if (error != std::errc()) return "0";
  std::string text(buffer.data(), end);
  // Go writes 1e-7, the C++ library 1e-07.
  if (const std::size_t zero = text.find("e-0"); zero != std::string::npos) text.erase(zero + 2, 1);
  return text;
}

PlainScalar ResolvePlain(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
  static constexpr std::array<std::string_view, 11> kTrue = {"true", "True", "TRUE", "y",  "Y", "yes",
                                                             "Yes",  "YES",  "on",   "On", "ON"};
  static constexpr std::array<std::string_view, 11> kFalse = {"false", "False", "FALSE", "n",   "N",  "no",
                                                              "No",    "NO",    "off",   "Off", "OFF"};
  if (text.size() <= 5) {
    if (Contains(kNull, text)) return {Node::Kind::kNull, ""};
    if (Contains(kTrue, text)) return {Node::Kind::kBool, "true"};
    if (Contains(kFalse, text)) return {Node::Kind::kBool, "false"};
  }
  const char first = text[0];
  if ((!IsDigit(first) && first != '-' && first != '+' && first != '.') || text.size() > 64) {
    return {Node::Kind::kString, std::string(text)};
  }
  std::string plain;
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain), [](char c) { return c != '_'; });
  if (std::optional<std::string> integer = ReadInteger(plain)) return {Node::Kind::kNumber, std::move(*integer)};
  if (LooksLikeFloat(plain)) {
    const std::string_view digits = plain[0] == '+' ? std::string_view(plain).substr(1) : plain;
    double number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc() && end == digits.data() + digits.size() && std::isfinite(number)) {
      return {Node::Kind::kNumber, FormatNumber(number)};
    }
  }
  return {Node::Kind::kString, std::string(text)};
}

}  // namespace daemonsetd::model
