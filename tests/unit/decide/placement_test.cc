#include "agent/decide/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/model/selectors.h"
#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using Blocker = Placement::Blocker;
using testing::ElementsAre;
using testing::HasSubstr;

corev1::Node NodeWith(const std::string& labels, const std::string& taints = "[]") {
  return FromYaml<corev1::Node>("{metadata: {name: node-a, labels: " + labels + "}, spec: {taints: " + taints + "}}");
}

Placement PlaceYaml(const std::string& spec, const corev1::Node& node) {
  return Place(FromYaml<corev1::PodSpec>(spec), node);
}

std::string Required(const std::string& terms) {
  return "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: " + terms +
         "}}}";
}

bool RunsWithTerms(const std::string& terms, const std::string& labels) {
  return PlaceYaml(Required(terms), NodeWith(labels)).should_run;
}

std::vector<std::string> TolerationTexts(const corev1::PodSpec& spec) {
  std::vector<std::string> texts;
  for (const corev1::Toleration& toleration : spec.tolerations()) {
    std::string text = toleration.key() + " " + toleration.operator_() + " " + toleration.effect();
    if (toleration.has_tolerationseconds()) text += " " + std::to_string(toleration.tolerationseconds()) + "s";
    texts.push_back(text);
  }
  return texts;
}

TEST(Place, AnswersLikeTheReference) {
  const std::vector<Row> rows = ReadRows("placement.jsonl");
  ASSERT_EQ(rows.size(), 3000u);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.line);
    const auto& spec_fields = row.at("daemonSet").struct_value().fields().at("spec").struct_value().fields();
    corev1::PodTemplateSpec pod_template;
    corev1::Node node;
    ASSERT_NO_FATAL_FAILURE(DecodeInto(spec_fields.at("template"), pod_template));
    ASSERT_NO_FATAL_FAILURE(DecodeInto(row.at("node"), node));

    const Placement placement = Place(pod_template.spec(), node);
    EXPECT_EQ(placement.should_run, row.flag("shouldRun")) << placement.reason;
    EXPECT_EQ(placement.should_keep_running, row.flag("shouldContinueRunning")) << placement.reason;
    EXPECT_EQ(placement.blocker == Blocker::kNone, placement.should_run);
    EXPECT_EQ(placement.reason.empty(), placement.should_run);
  }
}

// Semantics, the table of section 3.

TEST(Place, RunsWhereNothingSpeaksAgainstIt) {
  const Placement placement = PlaceYaml("{}", NodeWith("{}", "[{key: a, effect: PreferNoSchedule}]"));
  EXPECT_TRUE(placement.should_run);
  EXPECT_TRUE(placement.should_keep_running);
  EXPECT_EQ(placement.blocker, Blocker::kNone);
}

// PL-01
TEST(Place, NoScheduleTaintBlocksOnlyTheStart) {
  const Placement placement = PlaceYaml("{}", NodeWith("{}", "[{key: k, value: v, effect: NoSchedule}]"));
  EXPECT_FALSE(placement.should_run);
  EXPECT_TRUE(placement.should_keep_running);
  EXPECT_EQ(placement.blocker, Blocker::kTaint);
}

// PL-01
TEST(Place, NoExecuteTaintStopsARunningPod) {
  const Placement placement = PlaceYaml("{}", NodeWith("{}", "[{key: k, value: v, effect: NoExecute}]"));
  EXPECT_FALSE(placement.should_run);
  EXPECT_FALSE(placement.should_keep_running);
  EXPECT_EQ(placement.blocker, Blocker::kTaint);
}

TEST(Place, ATimedTolerationToleratesForEver) {
  const auto node = NodeWith("{}", "[{key: k, value: v, effect: NoExecute}]");
  EXPECT_TRUE(PlaceYaml("tolerations: [{key: k, value: v, effect: NoExecute, tolerationSeconds: 1}]", node).should_run);
}

// PL-06
TEST(Place, ALabelThatNoLongerMatchesStopsARunningPod) {
  const Placement placement = PlaceYaml("nodeSelector: {disk: ssd}", NodeWith("{disk: hdd}"));
  EXPECT_FALSE(placement.should_run);
  EXPECT_FALSE(placement.should_keep_running);
  EXPECT_EQ(placement.blocker, Blocker::kNodeSelector);
}

// PL-11
TEST(Place, ACordonedNodeRunsDaemons) {
  auto node = NodeWith("{}", "[{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]");
  node.mutable_spec()->set_unschedulable(true);
  EXPECT_TRUE(PlaceYaml("{}", node).should_run);
}

TEST(Place, RunsOnANodeReservedForDaemonSets) {
  EXPECT_TRUE(PlaceYaml("{}", NodeWith("{}", "[{key: daemonsetd.dev/daemonsets-only, effect: NoSchedule}]")).should_run);
}

TEST(Place, OnlyPodsOnTheHostNetworkBearAMissingNetwork) {
  const auto node = NodeWith("{}", "[{key: node.kubernetes.io/network-unavailable, effect: NoSchedule}]");
  EXPECT_FALSE(PlaceYaml("{}", node).should_run);
  EXPECT_TRUE(PlaceYaml("hostNetwork: true", node).should_run);
}

TEST(Place, NotReadyAsNoScheduleIsNotToleratedByItself) {
  const auto node = NodeWith(
      "{}", "[{key: node.kubernetes.io/not-ready, effect: NoSchedule}, {key: node.kubernetes.io/not-ready, effect: "
            "NoExecute}]");
  EXPECT_FALSE(PlaceYaml("{}", node).should_run);
  EXPECT_TRUE(PlaceYaml("tolerations: [{operator: Exists}]", node).should_run);
}

TEST(Place, PreferredAffinityAndUnschedulableDoNotCount) {
  auto node = NodeWith("{}");
  node.mutable_spec()->set_unschedulable(true);
  EXPECT_TRUE(PlaceYaml(R"(
affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
  {weight: 1, preference: {matchExpressions: [{key: zone, operator: In, values: [b]}]}}]}})",
                        node)
                  .should_run);
}

// Semantics, the table of section 3.1.

// PL-02
TEST(Place, GtAndLtCompareWholeNumbersOnly) {
  const auto runs = [](const std::string& op, const std::string& limit, const std::string& labels) {
    return RunsWithTerms("[{matchExpressions: [{key: n, operator: " + op + ", values: ['" + limit + "']}]}]", labels);
  };
  EXPECT_TRUE(runs("Gt", "7", "{n: '8'}"));
  EXPECT_FALSE(runs("Gt", "8", "{n: '8'}"));
  EXPECT_TRUE(runs("Lt", "9", "{n: '8'}"));
  EXPECT_FALSE(runs("Lt", "8", "{n: '8'}"));
  EXPECT_FALSE(runs("Gt", "7", "{n: '8.5'}"));
  EXPECT_FALSE(runs("Gt", "7", "{n: '150.1'}"));
  EXPECT_FALSE(runs("Gt", "7", "{n: '9223372036854775808'}"));
  EXPECT_TRUE(runs("Gt", "7", "{n: '9223372036854775807'}"));
  EXPECT_FALSE(runs("Gt", "7", "{}"));
  EXPECT_FALSE(runs("Lt", "7", "{}"));
  EXPECT_FALSE(runs("Gt", "7.5", "{n: '8'}"));
  EXPECT_FALSE(runs("Lt", "x", "{n: '8'}"));
  EXPECT_TRUE(runs("Gt", "-9", "{n: '-8'}"));
}

TEST(Place, SetOperatorsFollowTheTable) {
  const auto runs = [](const std::string& expression, const std::string& labels) {
    return RunsWithTerms("[{matchExpressions: [" + expression + "]}]", labels);
  };
  EXPECT_TRUE(runs("{key: z, operator: In, values: [a, b]}", "{z: b}"));
  EXPECT_FALSE(runs("{key: z, operator: In, values: [a, b]}", "{z: c}"));
  EXPECT_FALSE(runs("{key: z, operator: In, values: [a, b]}", "{}"));
  EXPECT_TRUE(runs("{key: z, operator: NotIn, values: [a]}", "{}"));
  EXPECT_TRUE(runs("{key: z, operator: NotIn, values: [a]}", "{z: b}"));
  EXPECT_FALSE(runs("{key: z, operator: NotIn, values: [a]}", "{z: a}"));
  EXPECT_TRUE(runs("{key: z, operator: Exists}", "{z: ''}"));
  EXPECT_FALSE(runs("{key: z, operator: Exists}", "{}"));
  EXPECT_TRUE(runs("{key: z, operator: DoesNotExist}", "{}"));
  EXPECT_FALSE(runs("{key: z, operator: DoesNotExist}", "{z: a}"));
}

// PL-03
TEST(Place, NodeIdentityIsOnlyMatchedByMetadataName) {
  const auto node = FromYaml<corev1::Node>("metadata: {name: n1, labels: {kubernetes.io/hostname: h1}}");
  const auto runs = [&node](const std::string& term) { return PlaceYaml(Required("[" + term + "]"), node).should_run; };
  EXPECT_TRUE(runs("{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [h1, h2]}]}"));
  EXPECT_FALSE(runs("{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [n1]}]}"));
  EXPECT_TRUE(runs("{matchFields: [{key: metadata.name, operator: In, values: [n1]}]}"));
  EXPECT_FALSE(runs("{matchFields: [{key: metadata.name, operator: NotIn, values: [n1]}]}"));
}

// PL-04
TEST(Place, ATermThatTheServerWouldRefuseNeverMatches) {
  for (const char* field : {"{key: metadata.name, operator: In, values: []}",
                            "{key: metadata.name, operator: In, values: [node-a, node-b]}",
                            "{key: metadata.namespace, operator: In, values: [node-a]}",
                            "{key: metadata.name, operator: Exists}"}) {
    EXPECT_FALSE(RunsWithTerms(std::string("[{matchFields: [") + field + "]}]", "{}")) << field;
  }
  for (const char* expression : {"{key: z, operator: NotIn, values: []}", "{key: z, operator: Near, values: [a]}",
                                 "{key: z, operator: DoesNotExist, values: [a]}"}) {
    EXPECT_FALSE(RunsWithTerms(std::string("[{matchExpressions: [") + expression + "]}]", "{}")) << expression;
  }
}

// PL-05
TEST(Place, TermsAreAlternativesAndTheirExpressionsAreNot) {
  const std::string terms = R"([
    {matchExpressions: [{key: zone, operator: In, values: [a]}, {key: disk, operator: In, values: [ssd]}]},
    {matchExpressions: [{key: zone, operator: In, values: [b]}]}])";
  EXPECT_TRUE(RunsWithTerms(terms, "{zone: a, disk: ssd}"));
  EXPECT_FALSE(RunsWithTerms(terms, "{zone: a, disk: hdd}"));
  EXPECT_FALSE(RunsWithTerms(terms, "{zone: a}"));
  EXPECT_TRUE(RunsWithTerms(terms, "{zone: b}"));
  EXPECT_TRUE(RunsWithTerms(terms, "{zone: b, disk: hdd}"));
  EXPECT_FALSE(RunsWithTerms(terms, "{disk: ssd}"));
}

// PL-05
TEST(Place, EmptyTermsMatchNoNode) {
  EXPECT_FALSE(RunsWithTerms("[]", "{}"));
  EXPECT_FALSE(RunsWithTerms("[{}]", "{}"));
  EXPECT_TRUE(RunsWithTerms("[{}, {matchExpressions: [{key: z, operator: DoesNotExist}]}]", "{}"));
}

// Semantics, section 3.2.
TEST(Place, TolerationsCoverTaintsAsTheTableSays) {
  const auto runs = [](const std::string& toleration, const std::string& taint) {
    return PlaceYaml("tolerations: [" + toleration + "]", NodeWith("{}", "[" + taint + "]")).should_run;
  };
  const std::string taint = "{key: k, value: '5', effect: NoExecute}";
  EXPECT_TRUE(runs("{key: k, value: '5', effect: NoExecute}", taint));
  EXPECT_TRUE(runs("{key: k, operator: Equal, value: '5'}", taint));
  EXPECT_FALSE(runs("{key: k, operator: Equal, value: '6'}", taint));
  EXPECT_FALSE(runs("{key: k, value: '5', effect: NoSchedule}", taint));
  EXPECT_TRUE(runs("{key: k, operator: Exists}", taint));
  EXPECT_FALSE(runs("{key: other, operator: Exists}", taint));
  EXPECT_TRUE(runs("{operator: Exists}", taint));
  EXPECT_TRUE(runs("{operator: Exists, effect: NoExecute}", taint));
  EXPECT_FALSE(runs("{operator: Exists, effect: NoSchedule}", taint));
  EXPECT_TRUE(runs("{key: k, effect: NoExecute}", "{key: k, effect: NoExecute}")) << "empty equals empty";
  EXPECT_FALSE(runs("{key: k, operator: Gt, value: '1'}", taint));
  EXPECT_FALSE(runs("{key: k, operator: Lt, value: '9'}", taint));
}

// Reasons.

TEST(PlaceReason, NamesBothSides) {
  struct Case {
    std::string spec;
    corev1::Node node;
    std::string reason;
  };
  const std::string zone = "{matchExpressions: [{key: zone, operator: In, values: [a, b]}]}";
  const std::string name = "{matchFields: [{key: metadata.name, operator: In, values: [node-b]}]}";
  const std::string cores = "{matchExpressions: [{key: cores, operator: Gt, values: ['8']}]}";
  const std::vector<Case> cases = {
      {"nodeName: node-b", NodeWith("{}"), "nodeName node-b: the node is node-a"},
      {"nodeSelector: {disk: ssd}", NodeWith("{disk: hdd}"), "nodeSelector disk=ssd: the node has disk=hdd"},
      {"nodeSelector: {disk: ssd}", NodeWith("{}"), "nodeSelector disk=ssd: the node has no label disk"},
      {"nodeSelector: {b: '1', a: '2', c: '3'}", NodeWith("{a: '2'}"), "nodeSelector b=1: the node has no label b"},
      {Required("[]"), NodeWith("{}"), "required node affinity has no terms, so it matches no node"},
      {Required("[{}]"), NodeWith("{}"), "required node affinity: term 1 of 1 is empty and matches nothing"},
      {Required("[" + zone + "]"), NodeWith("{zone: c}"),
       "required node affinity: term 1 of 1 fails at \"zone In [a b]\" (the node has zone=c)"},
      {Required("[" + zone + "]"), NodeWith("{}"),
       "required node affinity: term 1 of 1 fails at \"zone In [a b]\" (the node has no label zone)"},
      {Required("[" + zone + ", " + name + "]"), NodeWith("{zone: c}"),
       "required node affinity: term 1 of 2 fails at \"zone In [a b]\" (the node has zone=c); "
       "term 2 of 2 fails at field \"metadata.name In [node-b]\" (the node is node-a)"},
      {Required("[" + cores + "]"), NodeWith("{cores: '8'}"),
       "required node affinity: term 1 of 1 fails at \"cores Gt 8\" (the node has cores=8)"},
      {Required("[" + cores + "]"), NodeWith("{cores: '8.5'}"),
       "required node affinity: term 1 of 1 fails at \"cores Gt 8\" (the node has cores=8.5, which is not an integer)"},
      {Required("[{matchExpressions: [{key: gpu, operator: Exists}, {key: zone, operator: Exists}]}]"),
       NodeWith("{gpu: yes-it-has}"),
       "required node affinity: term 1 of 1 fails at \"zone Exists\" (the node has no label zone)"},
      {"{}", NodeWith("{}", "[{key: dedicated, value: db, effect: NoSchedule}]"),
       "taint dedicated=db:NoSchedule is not tolerated"},
      {"{}", NodeWith("{}", "[{key: dedicated, effect: NoExecute}]"), "taint dedicated:NoExecute is not tolerated"},
      {"{}", NodeWith("{}", "[{key: a, effect: NoSchedule}, {key: b, effect: NoExecute}]"),
       "taint b:NoExecute is not tolerated"},
      {"nodeSelector: {disk: ssd}", NodeWith("{}", "[{key: a, effect: NoExecute}]"),
       "nodeSelector disk=ssd: the node has no label disk"},
  };
  for (const Case& one : cases) EXPECT_EQ(PlaceYaml(one.spec, one.node).reason, one.reason);
}

TEST(PlaceReason, StaysShortHoweverManyTermsThereAre) {
  std::string terms;
  for (int i = 0; i < 300; ++i) terms += "{matchExpressions: [{key: zone, operator: Exists}]}, ";
  const Placement placement = PlaceYaml(Required("[" + terms + "]"), NodeWith("{}"));
  EXPECT_LT(placement.reason.size(), 500u);
  EXPECT_THAT(placement.reason, HasSubstr("; 296 more terms fail too"));
}

// Semantics, section 2.

TEST(AddDaemonTolerations, AppendsInOrder) {
  auto spec = FromYaml<corev1::PodSpec>("{hostNetwork: true, tolerations: [{key: mine, operator: Exists}]}");
  AddDaemonTolerations(spec);
  EXPECT_THAT(TolerationTexts(spec), ElementsAre("mine Exists ",  //
                                                 "node.kubernetes.io/not-ready Exists NoExecute",
                                                 "node.kubernetes.io/unreachable Exists NoExecute",
                                                 "node.kubernetes.io/disk-pressure Exists NoSchedule",
                                                 "node.kubernetes.io/memory-pressure Exists NoSchedule",
                                                 "node.kubernetes.io/pid-pressure Exists NoSchedule",
                                                 "node.kubernetes.io/unschedulable Exists NoSchedule",
                                                 "node.kubernetes.io/network-unavailable Exists NoSchedule",
                                                 "daemonsetd.dev/daemonsets-only Exists NoSchedule"));
}

TEST(AddDaemonTolerations, TakesTheTimeLimitOffInPlace) {
  auto spec = FromYaml<corev1::PodSpec>(R"(
tolerations:
- {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 60}
- {key: mine, operator: Exists}
)");
  AddDaemonTolerations(spec);
  ASSERT_GE(spec.tolerations_size(), 2);
  EXPECT_EQ(TolerationTexts(spec)[0], "node.kubernetes.io/unreachable Exists NoExecute");
  EXPECT_EQ(TolerationTexts(spec)[1], "mine Exists ");
  EXPECT_EQ(spec.tolerations_size(), 8);
}

TEST(AddDaemonTolerations, TwiceIsTheSameAsOnce) {
  auto once = FromYaml<corev1::PodSpec>("tolerations: [{key: mine, operator: Exists}]");
  AddDaemonTolerations(once);
  auto twice = once;
  AddDaemonTolerations(twice);
  EXPECT_EQ(TolerationTexts(once), TolerationTexts(twice));
}

}  // namespace
}  // namespace daemonsetd::decide
