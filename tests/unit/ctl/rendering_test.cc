#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/ctl/completion.h"
#include "agent/ctl/label_filter.h"
#include "agent/ctl/table.h"
#include "agent/ctl/yaml.h"

namespace daemonsetd::ctl {
namespace {

TEST(Table, PadsToTheWidestCellAndKeepsWidths) {
  Table table({"NAME", "AGE"});
  table.Add({"a-long-name", "5d3h"});
  table.Add({"é", "1s"});
  EXPECT_EQ(table.Render(true), "NAME          AGE\na-long-name   5d3h\né             1s\n");
  table.Add({"b", "2s"});
  EXPECT_EQ(table.Render(false), "b             2s\n");
}

TEST(LabelFilter, ReadsEveryForm) {
  const auto filter = ParseLabelFilter("app=agent, tier!=db,disk,!gpu,zone in (a, b),arch notin (arm64)");
  ASSERT_TRUE(filter.has_value());
  ASSERT_EQ(filter->matchexpressions_size(), 6);
  const char* verbs[] = {"In", "NotIn", "Exists", "DoesNotExist", "In", "NotIn"};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(filter->matchexpressions(i).operator_(), verbs[i]);
  EXPECT_EQ(filter->matchexpressions(4).values(1), "b");
  for (const char* bad : {"=", "a b", "a,,b", "in (a)", "!"}) EXPECT_FALSE(ParseLabelFilter(bad).has_value()) << bad;
}

TEST(JsonToYaml, QuotesWhatWouldChangeItsType) {
  EXPECT_EQ(JsonToYaml(R"({"a":"true","b":true,"c":"12","d":12,"e":"","f":[],"g":{},"h":["x","y: z"],"i":"2.1.4"})"),
            "a: \"true\"\nb: true\nc: \"12\"\nd: 12\ne: \"\"\nf: []\ng: {}\nh:\n  - x\n  - \"y: z\"\ni: \"2.1.4\"\n");
}

}  // namespace
}  // namespace daemonsetd::ctl
