#include "agent/decide/env.h"

#include <map>

#include <gtest/gtest.h>

#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

std::optional<std::string> Nothing(std::string_view) { return std::nullopt; }

TEST(Expand, AnswersLikeTheReference) {
  const std::vector<Row> rows = ReadRows("env_expansion.jsonl");
  ASSERT_EQ(rows.size(), 800u);
  for (const Row& row : rows) {
    const auto& env = row.at("env").struct_value().fields();
    const VariableLookup lookup = [&env](std::string_view name) -> std::optional<std::string> {
      const auto found = env.find(std::string(name));
      if (found == env.end()) return std::nullopt;
      return found->second.string_value();
    };
    EXPECT_EQ(Expand(row.text("in"), lookup), row.text("out")) << "line " << row.line;
  }
}

TEST(Expand, LeavesUnknownNamesAsTheyAre) { EXPECT_EQ(Expand("a $(MISSING) b", Nothing), "a $(MISSING) b"); }

TEST(Expand, TakesATwiceWrittenDollarLiterally) { EXPECT_EQ(Expand("$$(HOME)", Nothing), "$(HOME)"); }

TEST(Expand, DoesNotExpandWhatItInserted) {
  const VariableLookup lookup = [](std::string_view) { return std::optional<std::string>("$(A)"); };
  EXPECT_EQ(Expand("$(A)", lookup), "$(A)");
}

// The reference writes a byte above 0x7f after a dollar as a code point of its own and so breaks the character.
TEST(Expand, KeepsCharactersBeyondAsciiWhole) { EXPECT_EQ(Expand("$é $", Nothing), "$é $"); }

}  // namespace
}  // namespace daemonsetd::decide
