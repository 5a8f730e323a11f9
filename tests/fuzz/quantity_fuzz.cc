// Quantities, durations and image names: the small texts that come from anywhere.
#include "agent/base/duration.h"
#include "agent/model/quantity.h"
#include "agent/pods/image_name.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daemonsetd;
  const std::string text = testing::Text(data, size);
  if (const auto quantity = model::Quantity::Parse(text)) {
    const std::string canonical = quantity->Canonical();
    const auto again = model::Quantity::Parse(canonical);
    testing::Require(again.has_value(), "the canonical form is a quantity");
    testing::Require(again->Canonical() == canonical, "the canonical form is its own");
    (void)quantity->Value();
    (void)quantity->MilliValue();
  }
  if (const auto duration = ParseDuration(text)) (void)FormatDuration(*duration);
  if (const auto image = pods::ParseImageName(text)) {
    testing::Require(pods::ParseImageName(image->Canonical()).has_value(), "the canonical name is a name");
  }
  return 0;
}
