#include "agent/model/quantity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "tests/support/test_data.h"

namespace daemonsetd::model {
namespace {

using ::testing::HasSubstr;

Quantity Parsed(std::string_view text) { return Quantity::Parse(text).value(); }

TEST(QuantityTest, AnswersLikeTheReference) {
  int equal = 0;
  const auto lines = testing::ReadTestDataLines("tests/unit/model/testdata/quantity.jsonl");
  for (const std::string& line : lines) {
    const boost::json::object row = boost::json::parse(line).as_object();
    const std::string text(row.at("in").as_string());
    const Result<Quantity> quantity = Quantity::Parse(text);
    boost::json::object answer;
    answer["in"] = text;
    if (quantity) {
      answer["canonical"] = quantity->Canonical();
      answer["value"] = std::to_string(quantity->Value());
      answer["milliValue"] = std::to_string(quantity->MilliValue());
    } else {
      answer["error"] = true;
    }
    EXPECT_EQ(answer, row) << boost::json::serialize(answer) << "\n" << line;
    equal += answer == row;
  }
  EXPECT_EQ(lines.size(), 2000U);
  EXPECT_EQ(equal, 2000);
}

TEST(QuantityTest, ADefaultQuantityIsZero) {
  EXPECT_TRUE(Quantity().IsZero());
  EXPECT_EQ(Quantity().Canonical(), "0");
  EXPECT_EQ(Quantity().Sign(), 0);
}

TEST(QuantityTest, AnErrorNamesTheTextAndWhatToWrite) {
  const Result<Quantity> quantity = Quantity::Parse("1 Gi");
  ASSERT_FALSE(quantity);
  EXPECT_EQ(quantity.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(quantity.error().message(), HasSubstr("\"1 Gi\" is not a quantity"));
}

TEST(QuantityTest, RefusesNumbersThatWouldOnlyCostTime) {
  EXPECT_FALSE(Quantity::Parse("1e2147483647"));
  EXPECT_FALSE(Quantity::Parse("1e-2147483647"));
  EXPECT_FALSE(Quantity::Parse("1e99999999999999999999"));
  EXPECT_FALSE(Quantity::Parse(std::string(100'000, '9')));
  EXPECT_FALSE(Quantity::Parse("1e+-5"));
  EXPECT_FALSE(Quantity::Parse("1e-+5"));
  EXPECT_FALSE(Quantity::Parse(std::string_view("1\0", 2)));
}

TEST(QuantityTest, SumsKeepTheFormatOfTheFirstThatIsNotZero) {
  Quantity total;
  total += Parsed("64Mi");
  total += Parsed("128Mi");
  EXPECT_EQ(total.Canonical(), "192Mi");
  total += Parsed("100M");
  EXPECT_EQ(total.Canonical(), "301326592");
  Quantity cpu = Parsed("1500m");
  cpu -= Parsed("0.5");
  EXPECT_EQ(cpu.Canonical(), "1");
}

TEST(QuantityTest, ArithmeticIsExactBeyondSixtyFourBits) {
  Quantity total = Parsed("9223372036854775807");
  total += Parsed("1n");
  EXPECT_EQ(total.Canonical(), "9223372036854775807000000001n");
  total -= Parsed("9223372036854775807");
  EXPECT_EQ(total.Canonical(), "1n");
  EXPECT_EQ(total.Compare(Parsed("0.000000001")), 0);

  Quantity bytes = Quantity::FromBytes(std::numeric_limits<std::int64_t>::max());
  bytes += Quantity::FromBytes(1);
  EXPECT_EQ(bytes.Canonical(), "8Ei");
  bytes += bytes;
  EXPECT_EQ(bytes.Canonical(), "16Ei");
  Quantity lowest = Quantity::FromMilli(0);
  lowest -= Quantity::FromMilli(std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(lowest.Canonical(), "9223372036854775808m");
  EXPECT_EQ(lowest.Sign(), 1);
}

TEST(QuantityTest, ComparesByValueNotByForm) {
  EXPECT_EQ(Parsed("1024Mi").Compare(Parsed("1Gi")), 0);
  EXPECT_EQ(Parsed("1").Compare(Parsed("1000m")), 0);
  EXPECT_LT(Parsed("999m").Compare(Parsed("1")), 0);
  EXPECT_GT(Parsed("1E").Compare(Parsed("999P")), 0);
  EXPECT_LT(Parsed("-1").Compare(Parsed("1n")), 0);
  EXPECT_LT(Parsed("9223372036854775807").Compare(Parsed("9223372036854775808")), 0);
  EXPECT_GT(Parsed("1e500").Compare(Parsed("1e499")), 0);
}

TEST(QuantityTest, AMessageIsReadAndWrittenInCanonicalForm) {
  resourcev1::Quantity message;
  message.set_string("1.5Gi");
  EXPECT_EQ(Quantity::From(message).ToMessage().string(), "1536Mi");
  message.set_string("nonsense");
  EXPECT_TRUE(Quantity::From(message).IsZero());
  EXPECT_EQ(Quantity::FromMilli(2500).Canonical(), "2500m");
  EXPECT_EQ(Quantity::FromMilli(2000).Canonical(), "2");
}

TEST(QuantityTest, CopiesAreIndependent) {
  Quantity first = Parsed("99999999999999999999");
  Quantity second = first;
  second += Parsed("1");
  EXPECT_EQ(first.Canonical(), "99999999999999999999");
  first = second;
  EXPECT_EQ(first.Compare(second), 0);
}

}  // namespace
}  // namespace daemonsetd::model
