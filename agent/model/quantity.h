// Kubernetes quantities ("100m", "1.5Gi", "2e3"): exact decimal arithmetic.
// Rules: apimachinery/pkg/api/resource/quantity.go; tests/unit/model/testdata/quantity.jsonl holds the reference's answers.
#pragma once

#include <cstdint>
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
  std::int64_t Value() const;       // rounded up
  std::int64_t MilliValue() const;  // rounded up
  bool IsZero() const;
  int Sign() const;  // -1, 0, 1
  int Compare(const Quantity& other) const;

  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);

  resourcev1::Quantity ToMessage() const;

 private:
  struct Impl;
  Impl* impl_;  // replace freely: only the public functions are the contract
};

}  // namespace daemonsetd::model
