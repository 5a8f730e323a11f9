// Kubernetes quantities ("100m", "1.5Gi", "2e3"): exact decimal arithmetic.
// Rules: apimachinery/pkg/api/resource/quantity.go; tests/unit/model/testdata/quantity.jsonl holds the reference's
// answers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::model {

class Quantity {
 public:
  Quantity();  // zero
  ~Quantity();
  Quantity(const Quantity&);
  Quantity(Quantity&&) noexcept;
  Quantity& operator=(const Quantity&);
  Quantity& operator=(Quantity&&) noexcept;

  // kInvalid, naming the text, when it is not a quantity.
  static Result<Quantity> Parse(std::string_view text);
  // A message that did not pass validation counts as zero.
  static Quantity From(const resourcev1::Quantity& message);
  static Quantity FromMilli(std::int64_t milli);
  static Quantity FromBytes(std::int64_t bytes);  // prints with binary suffixes

  std::string Canonical() const;
  // Both round up. A number that int64 cannot hold comes out as in the reference, zero or the lowest 64 bits of the
  // true value: ask Compare where it matters. Binary suffixes are capped at 2^63-1 when parsed.
  std::int64_t Value() const;
  std::int64_t MilliValue() const;
  bool IsZero() const;
  int Sign() const;  // -1, 0, 1
  int Compare(const Quantity& other) const;

  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);

  resourcev1::Quantity ToMessage() const;

 private:
  enum class Format : std::uint8_t { kDecimalSi, kBinarySi, kDecimalExponent };
  struct Suffix;
  struct BigDecimal;

  Quantity(std::int64_t mantissa, int scale, Format format);
  static const Suffix* FindSuffix(std::string_view text);
  static Quantity ParseBig(bool negative, const std::string& digits, int fraction_digits, const Suffix& suffix);
  BigDecimal ToBig() const;
  std::int64_t Scaled(int scale) const;
  bool AddSmall(std::int64_t mantissa, int scale);

  // mantissa_ × 10^scale_, unless big_ is set, which then holds the number.
  std::int64_t mantissa_ = 0;
  int scale_ = 0;
  Format format_ = Format::kDecimalSi;
  std::string text_;  // as the user wrote it, when the reference keeps that
  std::unique_ptr<BigDecimal> big_;
};

}  // namespace daemonsetd::model
