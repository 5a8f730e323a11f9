#include "agent/model/quantity.h"

#include <fmt/format.h>

#include <array>
#include <boost/multiprecision/cpp_int.hpp>
#include <charconv>

namespace daemonsetd::model {
namespace {

using BigInt = boost::multiprecision::cpp_int;

constexpr int kMaxSmallDigits = 18;  // every number of 18 decimal digits fits an int64
constexpr int kNano = -9;            // finer parts are rounded away from zero
// Larger ones would only make us compute with huge numbers. The canonical form may be a few characters longer, and have
// an exponent that is larger by the zeros at the end of the digits.
constexpr std::size_t kMaxTextLength = 512;
constexpr int kMaxDigits = 480;
constexpr int kMaxExponent = 512;

BigInt PowerOfTen(int exponent) { return boost::multiprecision::pow(BigInt(10), static_cast<unsigned>(exponent)); }

bool MultiplyByPowerOfTen(std::int64_t& value, int exponent) {
  if (value == 0) return true;
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(value, std::int64_t{10}, &value)) return false;
  }
  return true;
}

std::int64_t DivideAwayFromZero(std::int64_t value, int exponent) {
  bool inexact = false;
  const int sign = value < 0 ? -1 : 1;
  for (; exponent > 0 && value != 0; --exponent) {
    inexact |= value % 10 != 0;
    value /= 10;
  }
  return inexact ? value + sign : value;
}

// Two's complement, as a conversion to a 64-bit integer does it.
std::int64_t LowestBits(const BigInt& number) {
  const BigInt magnitude = abs(number);
  const std::uint64_t low = static_cast<std::uint64_t>(magnitude & BigInt(UINT64_MAX));
  return static_cast<std::int64_t>(number < 0 ? 0 - low : low);
}

struct Division {
  BigInt quotient;  // toward zero
  bool exact;
};
Division Divide(const BigInt& number, const BigInt& divisor) {
  Division result;
  BigInt remainder;
  boost::multiprecision::divide_qr(number, divisor, result.quotient, remainder);
  result.exact = remainder == 0;
  return result;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

struct Quantity::Suffix {
  std::string_view text;
  int base;
  int exponent;
  Format format;
};

// unscaled × 10^-scale
struct Quantity::BigDecimal {
  BigInt unscaled;
  int scale = 0;

  void AddScaled(const BigDecimal& other, int sign) {
    const int common = std::max(scale, other.scale);
    unscaled *= PowerOfTen(common - scale);
    unscaled += sign * other.unscaled * PowerOfTen(common - other.scale);
    scale = common;
  }
};

Quantity::Quantity() = default;
Quantity::~Quantity() = default;
Quantity::Quantity(Quantity&&) noexcept = default;
Quantity& Quantity::operator=(Quantity&&) noexcept = default;
Quantity::Quantity(std::int64_t mantissa, int scale, Format format)
    : mantissa_(mantissa), scale_(scale), format_(format) {}

Quantity::Quantity(const Quantity& other)
    : mantissa_(other.mantissa_),
      scale_(other.scale_),
      format_(other.format_),
      text_(other.text_),
      big_(other.big_ ? std::make_unique<BigDecimal>(*other.big_) : nullptr) {}

Quantity& Quantity::operator=(const Quantity& other) {
  if (this != &other) *this = Quantity(other);
  return *this;
}

const Quantity::Suffix* Quantity::FindSuffix(std::string_view text) {
  static constexpr std::array<Suffix, 16> kSuffixes = {{{"", 10, 0, Format::kDecimalSi},
                                                        {"n", 10, -9, Format::kDecimalSi},
                                                        {"u", 10, -6, Format::kDecimalSi},
                                                        {"m", 10, -3, Format::kDecimalSi},
                                                        {"k", 10, 3, Format::kDecimalSi},
                                                        {"M", 10, 6, Format::kDecimalSi},
                                                        {"G", 10, 9, Format::kDecimalSi},
                                                        {"T", 10, 12, Format::kDecimalSi},
                                                        {"P", 10, 15, Format::kDecimalSi},
                                                        {"E", 10, 18, Format::kDecimalSi},
                                                        {"Ki", 2, 10, Format::kBinarySi},
                                                        {"Mi", 2, 20, Format::kBinarySi},
                                                        {"Gi", 2, 30, Format::kBinarySi},
                                                        {"Ti", 2, 40, Format::kBinarySi},
                                                        {"Pi", 2, 50, Format::kBinarySi},
                                                        {"Ei", 2, 60, Format::kBinarySi}}};
  for (const Suffix& suffix : kSuffixes) {
    if (suffix.text == text) return &suffix;
  }
  return nullptr;
}

Result<Quantity> Quantity::Parse(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("\"{}\" is not a quantity: {}; write a number with an optional suffix, such as 500m, 2, "
                             "1.5Gi or 1e3",
                             text.substr(0, 64), why));
  };
  if (text.empty()) return refuse("it is empty");
  if (text.size() > kMaxTextLength) return refuse("it is too long");

  // The reference reads a missing number as zero: "+" and "Ki" are zero.
  std::size_t at = 0;
  const bool negative = text[0] == '-';
  if (negative || text[0] == '+') ++at;
  while (at < text.size() && text[at] == '0') ++at;
  std::string digits;
  while (at < text.size() && IsDigit(text[at])) digits += text[at++];
  if (digits.empty()) digits = "0";
  int fraction_digits = 0;
  if (at < text.size() && text[at] == '.') {
    for (++at; at < text.size() && IsDigit(text[at]); ++at, ++fraction_digits) digits += text[at];
  }

  const int length = static_cast<int>(digits.size());
  if (length > kMaxDigits) return refuse("it has too many digits");

  const std::string_view suffix_text = text.substr(at);
  Suffix suffix{};
  if (const Suffix* known = FindSuffix(suffix_text)) {
    suffix = *known;
  } else if (suffix_text.size() > 1 && (suffix_text[0] == 'e' || suffix_text[0] == 'E')) {
    std::string_view exponent = suffix_text.substr(1);
    if (exponent[0] == '+') exponent.remove_prefix(1);
    if (exponent.empty() || (!IsDigit(exponent[0]) && exponent[0] != '-')) return refuse("its exponent is wrong");
    const auto [end, error] = std::from_chars(exponent.data(), exponent.data() + exponent.size(), suffix.exponent);
    if (error == std::errc::invalid_argument || end != exponent.data() + exponent.size() ||
        (exponent[0] == '-' && suffix_text[1] == '+')) {
      return refuse("its exponent is wrong");
    }
    if (error != std::errc() || suffix.exponent > kMaxExponent - length || suffix.exponent < -kMaxExponent) {
      return refuse("its exponent is out of range");
    }
    suffix.base = 10;
    suffix.format = Format::kDecimalExponent;
  } else {
    return refuse(fmt::format("unknown suffix \"{}\"", suffix_text.substr(0, 64)));
  }

  // As the reference does, numbers that surely fit an int64 are kept as mantissa and scale. The way a number is held
  // shows in Value(), so the conditions are the reference's to the letter.
  const bool binary = suffix.format == Format::kBinarySi;
  const int spare_digits = binary ? 15 - length - suffix.exponent * 3 / 10 - 1 : kMaxSmallDigits - length;
  const int scale = (binary ? 0 : suffix.exponent) - fraction_digits;
  if (spare_digits < 0 || scale < kNano || (binary && fraction_digits > 0)) {
    Quantity big = ParseBig(negative, digits, fraction_digits, suffix);
    // Aligning the exponent adds digits: at the edge of what is read, the canonical form may lie beyond it.
    const std::string canonical = big.Canonical();
    if (canonical != text && !Parse(canonical)) return refuse("it has too many digits");
    return big;
  }
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  std::int64_t mantissa = binary ? number << suffix.exponent : number;
  Quantity result(negative ? -mantissa : mantissa, scale, suffix.format);
  const bool canonical =
      binary ? (number & 7) != 0 : scale % 3 == 0 && !std::string_view(digits).ends_with("000") && digits[0] != '0';
  if (canonical) result.text_ = text;
  return result;
}

Quantity Quantity::ParseBig(bool negative, const std::string& digits, int fraction_digits, const Suffix& suffix) {
  // A leading zero would make Boost read the digits as octal.
  const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size() - 1);
  BigDecimal big{BigInt(digits.substr(first)), fraction_digits};
  if (suffix.base == 10) {
    big.scale -= suffix.exponent;
  } else {
    big.unscaled <<= static_cast<unsigned>(suffix.exponent);
  }
  Format format = suffix.format;
  if (big.unscaled != 0) {
    if (big.scale > -kNano) {
      Division division = Divide(big.unscaled, PowerOfTen(big.scale + kNano));
      big.unscaled = std::move(division.quotient);
      if (!division.exact) big.unscaled += 1;
    } else {
      big.unscaled *= PowerOfTen(-kNano - big.scale);
    }
    big.scale = -kNano;
    const BigInt one = PowerOfTen(-kNano);
    const BigInt limit = BigInt(INT64_MAX) * one;
    if (format == Format::kBinarySi && big.unscaled > limit) big = BigDecimal{BigInt(INT64_MAX), 0};
    if (format == Format::kBinarySi && big.scale == -kNano && big.unscaled < one) format = Format::kDecimalSi;
  }
  if (negative) big.unscaled = -big.unscaled;
  Quantity result(0, 0, format);
  result.big_ = std::make_unique<BigDecimal>(std::move(big));
  return result;
}

Quantity Quantity::From(const resourcev1::Quantity& message) {
  Result<Quantity> parsed = Parse(message.string());
  return parsed ? std::move(*parsed) : Quantity();
}

Quantity Quantity::FromMilli(std::int64_t milli) { return Quantity(milli, -3, Format::kDecimalSi); }
Quantity Quantity::FromBytes(std::int64_t bytes) { return Quantity(bytes, 0, Format::kBinarySi); }

Quantity::BigDecimal Quantity::ToBig() const { return big_ ? *big_ : BigDecimal{BigInt(mantissa_), -scale_}; }

bool Quantity::IsZero() const { return Sign() == 0; }

int Quantity::Sign() const {
  if (big_) return big_->unscaled.sign();
  return mantissa_ > 0 ? 1 : mantissa_ < 0 ? -1 : 0;
}

int Quantity::Compare(const Quantity& other) const {
  if (!big_ && !other.big_ && scale_ == other.scale_) {
    return mantissa_ < other.mantissa_ ? -1 : mantissa_ > other.mantissa_ ? 1 : 0;
  }
  if (Sign() != other.Sign()) return Sign() < other.Sign() ? -1 : 1;
  BigDecimal difference = ToBig();
  difference.AddScaled(other.ToBig(), -1);
  return difference.unscaled.sign();
}

std::string Quantity::Canonical() const {
  if (!text_.empty()) return text_;
  if (IsZero()) return "0";
  BigDecimal number = ToBig();
  // To an integer mantissa and a non-negative power of ten if possible, so that "is it whole" is easy to ask.
  int exponent = -number.scale;
  BigInt mantissa = std::move(number.unscaled);
  for (Division tenth = Divide(mantissa, 10); tenth.exact; tenth = Divide(mantissa, 10)) {
    mantissa = std::move(tenth.quotient);
    ++exponent;
  }

  if (format_ == Format::kBinarySi && exponent >= 0) {
    BigInt whole = mantissa * PowerOfTen(exponent);
    if (abs(whole) >= 1024) {
      int power = 0;
      for (Division part = Divide(whole, 1024); part.exact; part = Divide(whole, 1024)) {
        whole = std::move(part.quotient);
        ++power;
      }
      static constexpr std::array<std::string_view, 7> kBinary = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
      // Parsing caps binary quantities below 8Ei, but a sum may pass that.
      for (; power >= static_cast<int>(kBinary.size()); --power) whole *= 1024;
      return whole.str() + std::string(kBinary[power]);
    }
  }
  while (exponent % 3 != 0) {
    mantissa *= 10;
    --exponent;
  }
  if (exponent == 0) return mantissa.str();
  if (format_ != Format::kDecimalExponent && exponent >= -9 && exponent <= 18) {
    static constexpr std::string_view kDecimal = "num kMGTPE";
    const int place = exponent / 3 + 3;
    return mantissa.str() + kDecimal[static_cast<std::size_t>(place)];
  }
  return fmt::format("{}e{}", mantissa.str(), exponent);
}

std::int64_t Quantity::Scaled(int scale) const {
  if (!big_) {
    if (scale_ < scale) return DivideAwayFromZero(mantissa_, scale - scale_);
    const int shift = scale_ - scale;
    std::int64_t value = mantissa_;
    if (MultiplyByPowerOfTen(value, shift)) return value;
    // The reference multiplies in one step for these powers and returns the wrapped product; for the others it gives
    // up.
    const bool one_step = shift <= 3 || shift == 6 || shift == 9;
    return one_step ? LowestBits(BigInt(mantissa_) * PowerOfTen(shift)) : 0;
  }
  const int surplus = big_->scale + scale;
  if (surplus <= 0) return LowestBits(big_->unscaled * PowerOfTen(-surplus));
  Division division = Divide(big_->unscaled, PowerOfTen(surplus));
  if (!division.exact && big_->unscaled > 0) division.quotient += 1;
  return LowestBits(division.quotient);
}

std::int64_t Quantity::Value() const { return Scaled(0); }
std::int64_t Quantity::MilliValue() const { return Scaled(-3); }

bool Quantity::AddSmall(std::int64_t mantissa, int scale) {
  if (mantissa == 0) return true;
  if (mantissa_ == 0) {
    mantissa_ = mantissa;
    scale_ = scale;
    return true;
  }
  std::int64_t own = mantissa_;
  const int common = std::min(scale_, scale);
  if (!MultiplyByPowerOfTen(own, scale_ - common) || !MultiplyByPowerOfTen(mantissa, scale - common) ||
      __builtin_add_overflow(own, mantissa, &own)) {
    return false;
  }
  mantissa_ = own;
  scale_ = common;
  return true;
}

Quantity& Quantity::operator+=(const Quantity& other) {
  if (IsZero()) format_ = other.format_;
  text_.clear();
  if (!big_ && !other.big_ && AddSmall(other.mantissa_, other.scale_)) return *this;
  BigDecimal sum = ToBig();
  sum.AddScaled(other.ToBig(), 1);
  big_ = std::make_unique<BigDecimal>(std::move(sum));
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (IsZero()) format_ = other.format_;
  text_.clear();
  if (!big_ && !other.big_ && other.mantissa_ != INT64_MIN && AddSmall(-other.mantissa_, other.scale_)) return *this;
  BigDecimal difference = ToBig();
  difference.AddScaled(other.ToBig(), -1);
  big_ = std::make_unique<BigDecimal>(std::move(difference));
  return *this;
}

resourcev1::Quantity Quantity::ToMessage() const {
  resourcev1::Quantity message;
  message.set_string(Canonical());
  return message;
}

}  // namespace daemonsetd::model
