#include "agent/decide/rollout_budget.h"

#include <limits>

#include <gtest/gtest.h>

#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

intstrv1::IntOrString Number(std::int32_t number) {
  intstrv1::IntOrString value;
  value.set_type(0);
  value.set_intval(number);
  return value;
}

intstrv1::IntOrString Text(const std::string& text) {
  intstrv1::IntOrString value;
  value.set_type(1);
  value.set_strval(text);
  return value;
}

TEST(RoundUpBudget, AnswersLikeTheReference) {
  const std::vector<Row> rows = ReadRows("rollout_budget.jsonl");
  ASSERT_EQ(rows.size(), 300u);
  for (const Row& row : rows) {
    intstrv1::IntOrString budget;
    if (row.at("value").has_string_value()) {
      budget = Text(row.text("value"));
    } else {
      budget = Number(static_cast<std::int32_t>(row.number("value")));
    }
    EXPECT_EQ(RoundUpBudget(budget, static_cast<std::int32_t>(row.number("desired"))), row.number("roundedUp"))
        << "line " << row.line;
  }
}

// RO-15
TEST(RoundUpBudget, IsNeverZeroUnlessWrittenAsZero) {
  EXPECT_EQ(RoundUpBudget(Text("10%"), 1), 1);
  EXPECT_EQ(RoundUpBudget(Text("10%"), 9), 1);
  EXPECT_EQ(RoundUpBudget(Text("10%"), 10), 1);
  EXPECT_EQ(RoundUpBudget(Text("10%"), 11), 2);
  EXPECT_EQ(RoundUpBudget(Text("10%"), 288), 29);
  EXPECT_EQ(RoundUpBudget(Text("10%"), 5000), 500);
  EXPECT_EQ(RoundUpBudget(Text("0%"), 5000), 0);
  EXPECT_EQ(RoundUpBudget(Number(0), 5000), 0);
  EXPECT_EQ(RoundUpBudget(Text("100%"), 0), 0);
}

TEST(RoundUpBudget, TakesRefusedTextForZero) {
  for (const char* text : {"", "%", "10", "-10%", "+10%", "10 %", "1.5%", "99999999999999%"}) {
    EXPECT_EQ(RoundUpBudget(Text(text), 100), 0) << text;
  }
  EXPECT_EQ(RoundUpBudget(Number(-1), 100), 0);
}

TEST(RoundUpBudget, DoesNotOverflow) {
  constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(RoundUpBudget(Text("2147483647%"), kMax), kMax);
}

}  // namespace
}  // namespace daemonsetd::decide
