#include "agent/decide/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kOneUnavailable[] = "{maxUnavailable: 1, maxSurge: 0}";
constexpr char kOneSurge[] = "{maxUnavailable: 0, maxSurge: 1}";

appsv1::DaemonSet SetWith(const std::string& budget, const std::string& pod_spec = "{}") {
  return FromYaml<appsv1::DaemonSet>("{spec: {template: {spec: " + pod_spec +
                                     "}, updateStrategy: {type: RollingUpdate, rollingUpdate: " + budget + "}}}");
}

// ---- Pods, named by what they are

DaemonPod OldAvailable() { return {.id = "old", .name = "old", .ready = true, .available = true}; }
DaemonPod OldReady() { return {.id = "old", .name = "old", .ready = true}; }
DaemonPod OldBroken() { return {.id = "old", .name = "old"}; }
DaemonPod NewAvailable() { return {.id = "new", .name = "new", .updated = true, .ready = true, .available = true}; }
DaemonPod NewBroken() { return {.id = "new", .name = "new", .updated = true}; }
DaemonPod Terminating(DaemonPod pod) {
  pod.terminating = true;
  return pod;
}
DaemonPod Failed(DaemonPod pod) {
  pod.failed = true;
  return pod;
}

RolloutNode NodeWith(std::string name, std::vector<DaemonPod> pods) {
  for (DaemonPod& pod : pods) pod.id = fmt::format("{}-{}", name, pod.id);
  return {.name = std::move(name), .should_run = true, .has_images = true, .pods = std::move(pods)};
}
RolloutNode Dead(RolloutNode node) {
  node.dead = true;
  return node;
}
RolloutNode DeadBefore(RolloutNode node) {
  node.dead = node.dead_before = true;
  return node;
}
RolloutNode SurgeAsked(RolloutNode node) {
  node.surge_asked = true;
  return node;
}
RolloutNode WithoutImages(RolloutNode node) {
  node.has_images = false;
  return node;
}
RolloutNode NotWanted(RolloutNode node) {
  node.should_run = false;
  return node;
}

RolloutPlan PlanFor(const appsv1::DaemonSet& set, std::vector<RolloutNode> nodes, bool wait_for_images = false) {
  return PlanRollout({.daemon_set = &set, .nodes = std::move(nodes), .wait_for_images = wait_for_images});
}

std::vector<std::string> StepsOf(const RolloutPlan& plan) {
  std::vector<std::string> steps;
  for (const RolloutStep& step : plan.steps) {
    steps.push_back((step.kind == RolloutStep::Kind::kDelete ? "delete " : "surge ") + step.pod_id);
    EXPECT_THAT(step.pod_id, HasSubstr(step.node + "-"));
    EXPECT_THAT(step.reason, HasSubstr("its template changed"));
  }
  return steps;
}

std::vector<std::string> Steps(const std::string& budget, std::vector<RolloutNode> nodes,
                               bool wait_for_images = false) {
  return StepsOf(PlanFor(SetWith(budget), std::move(nodes), wait_for_images));
}

// ---- What one node does to the budget, and what is done to it. Beside it, z has a healthy old pod: it goes when the
// budget of one allows it.

struct OneNode {
  const char* what;
  RolloutNode node;
  std::vector<std::string> steps;
};

std::vector<OneNode> Replacing() {
  return {
      {"RO-16: a broken old pod goes at once, and counts", NodeWith("a", {OldBroken()}), {"delete a-old"}},
      {"kruise#1323: so does one that is ready but not available yet", NodeWith("a", {OldReady()}), {"delete a-old"}},
      {"a healthy old pod goes first by name", NodeWith("a", {OldAvailable()}), {"delete a-old"}},
      {"an updated node costs nothing", NodeWith("a", {NewAvailable()}), {"delete z-old"}},
      {"RO-01: a broken new pod counts", NodeWith("a", {NewBroken()}), {}},
      {"RO-05: a pod on its way out counts", NodeWith("a", {Terminating(OldAvailable())}), {}},
      {"a missing pod counts", NodeWith("a", {}), {}},
      {"a pod that ended on its way out is missing", NodeWith("a", {Terminating(Failed(OldBroken()))}), {}},
      {"a failed pod counts, and is the node's to replace", NodeWith("a", {Failed(OldBroken())}), {}},
      {"a healthy pod beside a failed one stays for now",
       NodeWith("a", {OldAvailable(), Failed(OldBroken())}),
       {"delete z-old"}},
      {"a broken pod beside one on its way out waits for that",
       NodeWith("a", {Terminating(OldReady()), OldBroken()}),
       {}},
      {"two pods, of which none is available, count and are the node's to tidy",
       NodeWith("a", {OldBroken(), NewBroken()}),
       {}},
      {"two pods, of which one is available, cost nothing",
       NodeWith("a", {OldAvailable(), NewBroken()}),
       {"delete z-old"}},
      {"a node that runs none any more costs nothing", NotWanted(NodeWith("a", {OldBroken()})), {"delete z-old"}},
      {"a mark for a surge means nothing without surge", SurgeAsked(NodeWith("a", {OldAvailable()})), {"delete a-old"}},

      {"RO-02: dead with an old pod is set aside", Dead(NodeWith("a", {OldBroken()})), {"delete z-old"}},
      {"RO-02: dead with the new pod counts", Dead(NodeWith("a", {NewBroken()})), {}},
      {"RO-02: and when its pod is on its way out", Dead(NodeWith("a", {Terminating(NewBroken())})), {}},
      {"RO-02: dead while its old pod was taken counts", Dead(NodeWith("a", {Terminating(OldBroken())})), {}},
      {"and if it was dead before: some step may have taken it",
       DeadBefore(NodeWith("a", {Terminating(OldBroken())})),
       {}},
      {"RO-02: dead without a pod counts", Dead(NodeWith("a", {})), {}},
      {"RO-02: unless it was dead before", DeadBefore(NodeWith("a", {})), {"delete z-old"}},
      {"RO-12: what was dead before an undo did not die of it",
       DeadBefore(NodeWith("a", {NewBroken()})),
       {"delete z-old"}},
      {"a dead node's objects do not make it available", Dead(NodeWith("a", {NewAvailable()})), {}},
  };
}

std::vector<OneNode> Surging() {
  return {
      {"a broken old pod goes at once: nothing is lost", NodeWith("a", {OldBroken()}), {"delete a-old", "surge z-old"}},
      {"even when a surge was asked for", SurgeAsked(NodeWith("a", {OldBroken()})), {"delete a-old"}},
      {"a ready old pod is surged outside of the budget, and takes the place",
       NodeWith("a", {OldReady()}),
       {"surge a-old"}},
      {"a healthy old pod is surged first by name", NodeWith("a", {OldAvailable()}), {"surge a-old"}},
      {"a surge that was asked for is under way", SurgeAsked(NodeWith("a", {OldAvailable()})), {}},
      {"RO-08: the old pod stays while the new one is not available",
       SurgeAsked(NodeWith("a", {OldAvailable(), NewBroken()})),
       {}},
      {"side by side without a mark it is a surge as well", NodeWith("a", {OldAvailable(), NewBroken()}), {}},
      {"RO-04: when the new one is available, the node drops the old one",
       SurgeAsked(NodeWith("a", {OldAvailable(), NewAvailable()})),
       {"surge z-old"}},
      {"two old pods are a surge that the template overtook", NodeWith("a", {OldAvailable(), OldBroken()}), {}},
      {"an updated node costs nothing", NodeWith("a", {NewAvailable()}), {"surge z-old"}},
      {"a missing pod is no surge", NodeWith("a", {}), {"surge z-old"}},
      {"a broken new pod alone is no surge", NodeWith("a", {NewBroken()}), {"surge z-old"}},
      {"dead with an old pod is set aside", Dead(NodeWith("a", {OldBroken()})), {"surge z-old"}},
      {"RO-02: dead with the new pod counts", Dead(NodeWith("a", {OldBroken(), NewBroken()})), {}},
      {"RO-02: dead since it was asked to surge counts", SurgeAsked(Dead(NodeWith("a", {OldBroken()}))), {}},
      {"what was dead before is set aside", SurgeAsked(DeadBefore(NodeWith("a", {OldBroken()}))), {"surge z-old"}},
      {"a node that runs none any more costs nothing", NotWanted(NodeWith("a", {OldAvailable()})), {"surge z-old"}},
  };
}

TEST(PlanRollout, WithOneUnavailableNode) {
  for (const OneNode& item : Replacing()) {
    EXPECT_EQ(Steps(kOneUnavailable, {NodeWith("z", {OldAvailable()}), item.node}), item.steps) << item.what;
  }
}

TEST(PlanRollout, WithOneSurgingNode) {
  for (const OneNode& item : Surging()) {
    EXPECT_EQ(Steps(kOneSurge, {NodeWith("z", {OldAvailable()}), item.node}), item.steps) << item.what;
  }
}

// ---- The budget

// RO-01, RO-16
TEST(PlanRollout, ReplacesBrokenPodsFirstAndTakesNoHealthyOneForThem) {
  const std::vector<RolloutNode> nodes{NodeWith("d", {OldBroken()}), NodeWith("a", {OldAvailable()}),
                                       NodeWith("c", {OldBroken()}), NodeWith("b", {OldAvailable()})};
  EXPECT_THAT(Steps(kOneUnavailable, nodes), ElementsAre("delete c-old", "delete d-old"));
  EXPECT_THAT(Steps("{maxUnavailable: 2}", nodes), ElementsAre("delete c-old", "delete d-old"));
  EXPECT_THAT(Steps("{maxUnavailable: 3}", nodes), ElementsAre("delete c-old", "delete d-old", "delete a-old"));
}

// RO-02
TEST(PlanRollout, GoesOnBesideNodesThatWereDead) {
  std::vector<RolloutNode> nodes;
  for (char name = 'a'; name <= 'j'; ++name) nodes.push_back(NodeWith(std::string(1, name), {OldAvailable()}));
  nodes[0] = Dead(std::move(nodes[0]));
  nodes[1] = Dead(std::move(nodes[1]));
  const RolloutPlan plan = PlanFor(SetWith(kOneUnavailable), nodes);
  EXPECT_THAT(StepsOf(plan), ElementsAre("delete c-old"));
  EXPECT_THAT(plan.progress.set_aside, ElementsAre("a", "b"));
  EXPECT_EQ(plan.progress.unavailable, 0);
}

// RO-15
TEST(PlanRollout, TakesPercentOfEveryDesiredNodeAndRoundsUp) {
  std::vector<RolloutNode> nodes{DeadBefore(NodeWith("dead", {OldBroken()})), NotWanted(NodeWith("other", {}))};
  for (int i = 0; i < 10; ++i) nodes.push_back(NodeWith(fmt::format("n{}", i), {OldAvailable()}));
  const RolloutPlan plan = PlanFor(SetWith("{maxUnavailable: 10%, maxSurge: 0}"), nodes);
  EXPECT_EQ(plan.progress.desired, 11);
  EXPECT_EQ(plan.progress.max_unavailable, 2);
  EXPECT_THAT(StepsOf(plan), ElementsAre("delete n0-old", "delete n1-old"));
  EXPECT_THAT(Steps("{maxUnavailable: 0%, maxSurge: 10%}", nodes), ElementsAre("surge n0-old", "surge n1-old"));
}

// RO-15
TEST(PlanRollout, TakesOneNodeAtLeast) {
  for (const char* budget : {"{maxUnavailable: 0, maxSurge: 0}", "{maxUnavailable: 0%, maxSurge: 0%}", "{}"}) {
    const RolloutPlan plan =
        PlanFor(SetWith(budget), {NodeWith("a", {OldAvailable()}), NodeWith("b", {OldAvailable()})});
    EXPECT_EQ(plan.progress.max_unavailable, 1) << budget;
    EXPECT_THAT(StepsOf(plan), ElementsAre("delete a-old")) << budget;
  }
  EXPECT_EQ(PlanFor(SetWith("{}"), {}).progress.max_unavailable, 0) << "of none";
}

// RO-17
TEST(PlanRollout, AnEarlierFailureAndNodesThatLeftDoNotHoldItUp) {
  const std::vector<RolloutNode> nodes{NodeWith("failed-earlier", {OldBroken()}), NodeWith("good", {NewAvailable()}),
                                       NotWanted(NodeWith("unmatched", {})),
                                       NotWanted(NodeWith("left", {NewBroken()}))};
  EXPECT_THAT(Steps(kOneUnavailable, nodes), ElementsAre("delete failed-earlier-old"));
}

TEST(PlanRollout, MakesTheSameStepsInWhateverOrderNodesCome) {
  std::vector<RolloutNode> nodes{NodeWith("a", {OldAvailable()}), NodeWith("b", {OldBroken()}),
                                 NodeWith("c", {OldAvailable()}), NodeWith("d", {NewAvailable()})};
  const RolloutPlan plan = PlanFor(SetWith("{maxUnavailable: 2}"), nodes);
  EXPECT_THAT(StepsOf(plan), ElementsAre("delete b-old", "delete a-old"));
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::rotate(nodes.begin(), nodes.begin() + 1, nodes.end());
    EXPECT_EQ(PlanFor(SetWith("{maxUnavailable: 2}"), nodes).steps, plan.steps);
  }
}

// A longer minReadySeconds makes every pod young at once; they serve all the same.
TEST(PlanRollout, ReadyPodsThatAreNotAvailableYetGoWithinTheBudgetToo) {
  const auto young = [](const char* name) { return NodeWith(name, {OldReady()}); };
  EXPECT_THAT(Steps("{maxUnavailable: 1}", {young("a"), young("b"), young("c")}), ElementsAre("delete a-old"));
  EXPECT_THAT(Steps("{maxUnavailable: 2}", {young("a"), young("b"), young("c")}),
              ElementsAre("delete a-old", "delete b-old"));
  EXPECT_THAT(Steps("{maxUnavailable: 1}", {young("a"), young("b"), NodeWith("c", {OldBroken()})}),
              ElementsAre("delete c-old"));
  EXPECT_THAT(Steps("{maxUnavailable: 1}", {young("a"), NodeWith("b", {NewBroken()})}), IsEmpty());
  EXPECT_THAT(Steps("{maxUnavailable: 1}", {young("a"), NodeWith("b", {OldAvailable()})}), ElementsAre("delete a-old"))
      << "it counts, so the healthy one stays";
}

TEST(PlanRollout, SaysInEachStepHowFarTheBudgetIsUsed) {
  const RolloutPlan plan =
      PlanFor(SetWith("{maxUnavailable: 3}"), {NodeWith("a", {OldAvailable()}), NodeWith("b", {OldBroken()})});
  ASSERT_EQ(plan.steps.size(), 2u);
  EXPECT_EQ(plan.steps[0].reason, "its template changed and it is not ready");
  EXPECT_EQ(plan.steps[1].reason, "its template changed (node 2 of 3 that may be unavailable)");
}

// ---- Images: pull before stop

TEST(PlanRollout, PrefersNodesThatHaveTheImages) {
  const std::vector<RolloutNode> nodes{WithoutImages(NodeWith("a", {OldAvailable()})), NodeWith("b", {OldAvailable()}),
                                       WithoutImages(NodeWith("c", {OldAvailable()}))};
  EXPECT_THAT(Steps("{maxUnavailable: 2}", nodes), ElementsAre("delete b-old", "delete a-old"));
  EXPECT_THAT(Steps("{maxUnavailable: 0, maxSurge: 2}", nodes), ElementsAre("surge b-old", "surge a-old"));
}

TEST(PlanRollout, WaitsForImagesWithHealthyPodsOnly) {
  const std::vector<RolloutNode> nodes{WithoutImages(NodeWith("a", {OldAvailable()})), NodeWith("b", {OldAvailable()}),
                                       WithoutImages(NodeWith("c", {OldBroken()}))};
  const RolloutPlan three = PlanFor(SetWith("{maxUnavailable: 3}"), nodes, /*wait_for_images=*/true);
  EXPECT_THAT(StepsOf(three), ElementsAre("delete c-old", "delete b-old"));
  EXPECT_TRUE(three.progress.images_awaited);
  const RolloutPlan two = PlanFor(SetWith("{maxUnavailable: 2}"), nodes, /*wait_for_images=*/true);
  EXPECT_THAT(StepsOf(two), ElementsAre("delete c-old", "delete b-old"));
  EXPECT_FALSE(two.progress.images_awaited) << "the budget holds them as well";
}

// ---- Who is not rolled out

TEST(PlanRollout, OnDeleteTakesNoStepAndCountsAllTheSame) {
  appsv1::DaemonSet set;
  set.mutable_spec()->mutable_updatestrategy()->set_type("OnDelete");
  const RolloutPlan plan = PlanFor(set, {NodeWith("a", {OldAvailable()}), NodeWith("b", {OldBroken()}),
                                         NodeWith("c", {NewAvailable()}), Dead(NodeWith("d", {OldBroken()}))});
  EXPECT_THAT(plan.steps, IsEmpty());
  EXPECT_FALSE(plan.progress.rolling);
  EXPECT_EQ(plan.progress.desired, 4);
  EXPECT_EQ(plan.progress.updated, 1);
  EXPECT_EQ(plan.progress.outdated, 2);
  EXPECT_EQ(plan.progress.unavailable, 1);
  EXPECT_THAT(plan.progress.broken, ElementsAre("b"));
  EXPECT_FALSE(plan.progress.complete);
  EXPECT_TRUE(PlanFor(set, {NodeWith("c", {NewAvailable()}), Dead(NodeWith("d", {OldBroken()}))}).progress.complete);
}

TEST(PlanRollout, LeavesADaemonSetAloneThatIsBeingDeleted) {
  appsv1::DaemonSet set = SetWith(kOneUnavailable);
  set.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_THAT(PlanFor(set, {NodeWith("a", {OldBroken()})}).steps, IsEmpty());
}

// ---- Progress

// ST-09
TEST(PlanRollout, TellsDeadNodesFromBrokenPods) {
  const RolloutPlan plan =
      PlanFor(SetWith("{maxUnavailable: 5}"),
              {NodeWith("g", {}), NodeWith("f", {NewBroken()}), Dead(NodeWith("e", {NewBroken()})),
               Dead(NodeWith("d", {OldBroken()})), NodeWith("c", {OldAvailable(), NewAvailable()}),
               NodeWith("b", {NewAvailable()}), NodeWith("a", {NewAvailable(), Terminating(OldAvailable())})});
  EXPECT_EQ(plan.progress.desired, 7);
  EXPECT_EQ(plan.progress.updated, 1) << "b alone: a and c still have an old pod";
  EXPECT_EQ(plan.progress.outdated, 2);
  EXPECT_EQ(plan.progress.unavailable, 3);
  EXPECT_THAT(plan.progress.set_aside, ElementsAre("d"));
  EXPECT_THAT(plan.progress.dead_updated, ElementsAre("e"));
  EXPECT_THAT(plan.progress.broken, ElementsAre("f", "g"));
  EXPECT_FALSE(plan.progress.complete);
}

TEST(PlanRollout, IsCompleteBesideNodesThatAreSetAside) {
  const RolloutNode good = NodeWith("a", {NewAvailable()});
  EXPECT_TRUE(PlanFor(SetWith(kOneUnavailable), {}).progress.complete);
  EXPECT_TRUE(PlanFor(SetWith(kOneUnavailable), {good, NotWanted(NodeWith("b", {OldBroken()}))}).progress.complete);
  EXPECT_TRUE(PlanFor(SetWith(kOneUnavailable), {good, Dead(NodeWith("b", {OldBroken()}))}).progress.complete);
  EXPECT_FALSE(PlanFor(SetWith(kOneUnavailable), {good, Dead(NodeWith("b", {NewBroken()}))}).progress.complete);
  EXPECT_FALSE(PlanFor(SetWith(kOneUnavailable), {good, NodeWith("b", {NewBroken()})}).progress.complete);
  EXPECT_FALSE(PlanFor(SetWith(kOneUnavailable), {good, NodeWith("b", {})}).progress.complete);
}

// ---- Surge and ports of the host

// RO-06, RO-07: no half rollout, so broken pods stay too: their nodes would come back with the new template.
TEST(PlanRollout, RefusesToSurgeWithAPortOfTheHost) {
  const appsv1::DaemonSet set =
      SetWith(kOneSurge, "{containers: [{name: web, ports: [{containerPort: 80, hostPort: 8080}]}]}");
  const RolloutPlan plan = PlanFor(set, {NodeWith("a", {OldBroken()}), NodeWith("b", {OldReady()}),
                                         NodeWith("c", {OldAvailable()}), NodeWith("d", {NewAvailable()})});
  EXPECT_THAT(plan.steps, IsEmpty());
  EXPECT_EQ(plan.progress.refusal,
            "maxSurge needs two pods side by side on a node, and container web takes port 8080 of the host, which only "
            "one can: set maxUnavailable in place of maxSurge");
  EXPECT_EQ(plan.progress.updated, 1);
  EXPECT_FALSE(plan.progress.complete);
}

// RO-06, RO-07
TEST(SurgeConflict, NamesThePort) {
  const auto conflict = [](const std::string& pod_spec) { return SurgeConflict(SetWith(kOneSurge, pod_spec)); };
  EXPECT_THAT(conflict("{hostNetwork: true, containers: [{name: a}, {name: dns, ports: [{containerPort: 53, protocol: "
                       "UDP}]}]}"),
              HasSubstr("container dns takes port 53/UDP of the host"));
  EXPECT_THAT(
      conflict("{initContainers: [{name: side, restartPolicy: Always, ports: [{containerPort: 1, hostPort: 2}]}]}"),
      HasSubstr("container side takes port 2 of the host"));
  EXPECT_EQ(conflict("{initContainers: [{name: init, ports: [{containerPort: 1, hostPort: 2}]}]}"), "")
      << "is gone by then";
  EXPECT_EQ(conflict("{containers: [{name: a, ports: [{containerPort: 80}]}]}"), "");
  EXPECT_EQ(conflict("{hostNetwork: true, containers: [{name: a}]}"), "");
}

TEST(SurgeConflict, IsNoneWithoutSurge) {
  const char* spec = "{containers: [{name: web, ports: [{containerPort: 80, hostPort: 8080}]}]}";
  EXPECT_EQ(SurgeConflict(SetWith(kOneUnavailable, spec)), "");
  appsv1::DaemonSet set = SetWith(kOneSurge, spec);
  set.mutable_spec()->mutable_updatestrategy()->set_type("OnDelete");
  EXPECT_EQ(SurgeConflict(set), "");
}

}  // namespace
}  // namespace daemonsetd::decide
