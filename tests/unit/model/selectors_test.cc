#include "agent/model/selectors.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace daemonsetd::model {
namespace {

Labels MakeLabels(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Labels labels;
  for (const auto& [key, value] : pairs) labels[key] = value;
  return labels;
}

template <class Requirement>
Requirement MakeRequirement(const std::string& key, const std::string& op, const std::vector<std::string>& values) {
  Requirement requirement;
  requirement.set_key(key);
  requirement.set_operator_(op);
  for (const std::string& value : values) requirement.add_values(value);
  return requirement;
}
const auto Node = MakeRequirement<corev1::NodeSelectorRequirement>;
const auto Label = MakeRequirement<metav1::LabelSelectorRequirement>;

TEST(NodeSelectorTest, OperatorsFollowTheTable) {
  const Labels labels = MakeLabels({{"zone", "a"}, {"gpu", ""}});
  struct Case {
    corev1::NodeSelectorRequirement requirement;
    bool matches;
  };
  const std::vector<Case> cases = {
      {Node("zone", "In", {"a"}), true},        {Node("zone", "In", {"b"}), false},
      {Node("zone", "In", {}), false},          {Node("none", "In", {"a"}), false},
      {Node("none", "In", {""}), false},        {Node("gpu", "In", {""}), true},
      {Node("zone", "NotIn", {"b"}), true},     {Node("zone", "NotIn", {"a", "b"}), false},
      {Node("none", "NotIn", {"a"}), true},     {Node("zone", "NotIn", {}), false},
      {Node("gpu", "Exists", {}), true},        {Node("none", "Exists", {}), false},
      {Node("gpu", "Exists", {"x"}), false},    {Node("none", "DoesNotExist", {}), true},
      {Node("gpu", "DoesNotExist", {}), false}, {Node("none", "DoesNotExist", {"x"}), false},
      {Node("zone", "in", {"a"}), false},       {Node("zone", "", {"a"}), false},
  };
  for (const Case& c : cases) EXPECT_EQ(MatchesExpression(c.requirement, labels), c.matches) << ToString(c.requirement);
}

// PL-02
TEST(NodeSelectorTest, GreaterAndLessCompareWholeNumbersOnly) {
  struct Case {
    std::string label, op, limit;
    bool matches;
  };
  const std::vector<Case> cases = {
      {"8", "Gt", "7", true},
      {"8", "Gt", "8", false},
      {"7", "Gt", "8", false},
      {"8", "Lt", "9", true},
      {"8", "Lt", "8", false},
      {"8.5", "Gt", "7", false},
      {"150.1", "Gt", "7", false},
      {"9223372036854775808", "Gt", "7", false},
      {"9223372036854775807", "Gt", "7", true},
      {"8", "Gt", "7.5", false},
      {"8", "Gt", "x", false},
      {"8", "Lt", "9223372036854775808", false},
      // PL-02: the limit must be a legal label value, which never begins with a minus, so upstream refuses the whole
      // requirement (labels.NewRequirement); a label may be negative all the same.
      {"-3", "Gt", "-4", false},
      {"-5", "Lt", "-4", false},
      {"-5", "Lt", "4", true},
      {"-5", "Gt", "4", false},
      {"", "Gt", "1", false},
      {" 8", "Gt", "7", false},
      {"+8", "Gt", "7", true},
      {"0x8", "Gt", "7", false},
      {"010", "Gt", "9", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(MatchesExpression(Node("cores", c.op, {c.limit}), MakeLabels({{"cores", c.label}})), c.matches)
        << c.label << " " << c.op << " " << c.limit;
  }
  EXPECT_FALSE(MatchesExpression(Node("cores", "Gt", {"1"}), {}));
  EXPECT_FALSE(MatchesExpression(Node("cores", "Gt", {"1", "2"}), MakeLabels({{"cores", "8"}})));
  EXPECT_FALSE(MatchesExpression(Node("cores", "Lt", {}), MakeLabels({{"cores", "8"}})));
}

// PL-03
TEST(NodeSelectorTest, TheHostnameLabelIsNotTheNodesName) {
  const Labels labels = MakeLabels({{"kubernetes.io/hostname", "h1"}});
  EXPECT_TRUE(MatchesExpression(Node("kubernetes.io/hostname", "In", {"h1", "h2"}), labels));
  EXPECT_TRUE(MatchesExpression(Node("kubernetes.io/hostname", "In", {"h2", "h1"}), labels));
  EXPECT_FALSE(MatchesExpression(Node("kubernetes.io/hostname", "In", {"n1"}), labels));
  EXPECT_TRUE(MatchesField(Node("metadata.name", "In", {"n1"}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "In", {"h1"}), "n1"));
}

// PL-04
TEST(NodeSelectorTest, FieldsTheServerWouldRefuseMatchNothing) {
  EXPECT_TRUE(MatchesField(Node("metadata.name", "In", {"n1"}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "In", {"n2"}), "n1"));
  EXPECT_TRUE(MatchesField(Node("metadata.name", "NotIn", {"n2"}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "NotIn", {"n1"}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "In", {}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "NotIn", {}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "In", {"n1", "n2"}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.namespace", "In", {"n1"}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "Exists", {}), "n1"));
  EXPECT_FALSE(MatchesField(Node("metadata.name", "Exists", {"n1"}), "n1"));
}

// PL-05: the parts of (zone=a AND disk=ssd) OR (zone=b); how terms combine is decide/placement's to test.
TEST(NodeSelectorTest, EachExpressionLooksAtItsOwnLabelOnly) {
  for (const std::string zone : {"a", "b", "c"}) {
    for (const std::string disk : {"ssd", "hdd"}) {
      const Labels labels = MakeLabels({{"zone", zone}, {"disk", disk}});
      EXPECT_EQ(MatchesExpression(Node("zone", "In", {"a"}), labels), zone == "a");
      EXPECT_EQ(MatchesExpression(Node("zone", "In", {"b"}), labels), zone == "b");
      EXPECT_EQ(MatchesExpression(Node("disk", "In", {"ssd"}), labels), disk == "ssd");
    }
  }
}

TEST(LabelSelectorTest, LabelsAndExpressionsMustAllHold) {
  const Labels labels = MakeLabels({{"app", "log"}, {"tier", "node"}});
  metav1::LabelSelector selector;
  EXPECT_TRUE(Matches(selector, labels).value());
  EXPECT_TRUE(Matches(selector, {}).value());
  (*selector.mutable_matchlabels())["app"] = "log";
  EXPECT_TRUE(Matches(selector, labels).value());
  EXPECT_FALSE(Matches(selector, {}).value());
  *selector.add_matchexpressions() = Label("tier", "In", {"node", "edge"});
  *selector.add_matchexpressions() = Label("beta", "DoesNotExist", {});
  *selector.add_matchexpressions() = Label("beta", "NotIn", {"x"});
  *selector.add_matchexpressions() = Label("app", "Exists", {});
  EXPECT_TRUE(Matches(selector, labels).value());
  EXPECT_FALSE(Matches(selector, MakeLabels({{"app", "log"}, {"tier", "core"}})).value());
  EXPECT_FALSE(Matches(selector, MakeLabels({{"app", "log"}, {"tier", "node"}, {"beta", "y"}})).value());
}

TEST(LabelSelectorTest, AWrongRequirementIsAnErrorWhateverTheLabels) {
  for (const auto& requirement :
       {Label("a", "Gt", {"1"}), Label("a", "", {}), Label("a", "In", {}), Label("a", "Exists", {"x"})}) {
    metav1::LabelSelector selector;
    (*selector.mutable_matchlabels())["app"] = "other";
    *selector.add_matchexpressions() = requirement;
    const Result<bool> result = Matches(selector, {});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind(), ErrorKind::kInvalid);
  }
}

TEST(TolerationTest, CoversTaintsAsTheTableSays) {
  const auto taint = [](const char* key, const char* value, const char* effect) {
    corev1::Taint result;
    result.set_key(key);
    result.set_value(value);
    result.set_effect(effect);
    return result;
  };
  const auto toleration = [](const char* key, const char* op, const char* value, const char* effect) {
    corev1::Toleration result;
    result.set_key(key);
    result.set_operator_(op);
    result.set_value(value);
    result.set_effect(effect);
    return result;
  };
  const corev1::Taint gpu = taint("gpu", "yes", "NoSchedule");
  EXPECT_TRUE(Tolerates(toleration("gpu", "", "yes", "NoSchedule"), gpu));
  EXPECT_TRUE(Tolerates(toleration("gpu", "Equal", "yes", ""), gpu));
  EXPECT_FALSE(Tolerates(toleration("gpu", "Equal", "no", ""), gpu));
  EXPECT_FALSE(Tolerates(toleration("gpu", "Equal", "", ""), gpu));
  EXPECT_TRUE(Tolerates(toleration("gpu", "Equal", "", ""), taint("gpu", "", "NoExecute")));
  EXPECT_TRUE(Tolerates(toleration("gpu", "Exists", "", "NoSchedule"), gpu));
  EXPECT_FALSE(Tolerates(toleration("gpu", "Exists", "", "NoExecute"), gpu));
  EXPECT_FALSE(Tolerates(toleration("cpu", "Exists", "", ""), gpu));
  EXPECT_TRUE(Tolerates(toleration("", "Exists", "", ""), gpu));
  EXPECT_TRUE(Tolerates(toleration("", "Exists", "", "NoSchedule"), gpu));
  EXPECT_FALSE(Tolerates(toleration("", "Exists", "", "NoExecute"), gpu));
  EXPECT_FALSE(Tolerates(toleration("gpu", "exists", "", ""), gpu));
  const corev1::Taint number = taint("load", "5", "NoSchedule");
  EXPECT_FALSE(Tolerates(toleration("load", "Lt", "9", ""), number));
  EXPECT_FALSE(Tolerates(toleration("load", "Gt", "1", ""), number));
}

TEST(SelectorTextTest, ReadsLikeTheManifest) {
  corev1::Taint taint;
  taint.set_key("gpu");
  taint.set_effect("NoSchedule");
  EXPECT_EQ(ToString(taint), "gpu:NoSchedule");
  taint.set_value("yes");
  EXPECT_EQ(ToString(taint), "gpu=yes:NoSchedule");
  EXPECT_EQ(ToString(Node("zone", "In", {"a", "b"})), "zone In [a b]");
  EXPECT_EQ(ToString(Node("gpu", "Exists", {})), "gpu Exists");
  EXPECT_EQ(ToString(Node("cores", "Gt", {"8"})), "cores Gt 8");
}

}  // namespace
}  // namespace daemonsetd::model
