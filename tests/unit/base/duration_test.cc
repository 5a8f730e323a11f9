#include "agent/base/duration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

struct Good {
  std::string_view text;
  Nanoseconds value;
};

TEST(Duration, ReadsWhatGoReads) {
  const Good cases[] = {
      {"0", 0s},
      {"5s", 5s},
      {"30s", 30s},
      {"1478s", 1478s},
      {"-5s", -5s},
      {"+5s", 5s},
      {"-0", 0s},
      {"5.0s", 5s},
      {"5.6s", 5600ms},
      {"5.s", 5s},
      {".5s", 500ms},
      {"1.004s", 1004ms},
      {"10ns", 10ns},
      {"11us", 11us},
      {"12µs", 12us},
      {"12μs", 12us},
      {"13ms", 13ms},
      {"15m", 15min},
      {"16h", 16h},
      {"3h30m", 210min},
      {"1m30s", 90s},
      {"1h0m0s", 1h},
      {"1.5h", 90min},
      {"-2m3.4s", -123400ms},
      {"1h2m3s4ms5us6ns", 1h + 2min + 3s + 4ms + 5us + 6ns},
      {"0.3333333333333333333h", 1199999999999ns},
      {"9223372036854775807ns", Nanoseconds::max()},
  };
  for (const Good& good : cases) {
    const Result<Nanoseconds> value = ParseDuration(good.text);
    ASSERT_TRUE(value) << good.text << ": " << value.error().message();
    EXPECT_EQ(*value, good.value) << good.text;
  }
}

TEST(Duration, RefusesWhatGoRefuses) {
  for (const std::string_view text : {"",
                                      "3",
                                      "-",
                                      "s",
                                      ".",
                                      "-.",
                                      ".s",
                                      "+.s",
                                      "1d",
                                      "1 s",
                                      " 1s",
                                      "1s ",
                                      "10",
                                      "1e3s",
                                      "9223372036854775808ns",
                                      "9223372036854775.808us",
                                      "3000000h",
                                      "--1s",
                                      "1m-30s",
                                      "0x1s",
                                      "1.2.3s"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
  EXPECT_FALSE(ParseDuration(std::string(1'000'000, '1') + "s"));
}

TEST(Duration, SaysWhatToWrite) {
  EXPECT_THAT(ParseDuration("10").error().message(), HasSubstr("write \"10s\""));
  EXPECT_THAT(ParseDuration("2min").error().message(), HasSubstr("unknown unit \"min\""));
}

}  // namespace
}  // namespace daemonsetd
