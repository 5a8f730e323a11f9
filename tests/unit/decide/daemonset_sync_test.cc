// What Kubernetes' own controller does in its first pass over 600 random clusters, against our rules. The nodes of
// testdata/daemonset_sync.jsonl have no status (it was empty in all of them).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/daemon_set_pods.h"
#include "agent/decide/daemonset_status.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_merge.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/model/codec.h"
#include "tests/support/golden.h"
#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

struct Cluster {
  appsv1::DaemonSet daemon_set;
  std::vector<corev1::Node> nodes;
  std::vector<corev1::Pod> pods;
  WallTime now;
  std::vector<Placement> placements;            // one per node
  std::vector<std::vector<DaemonPod>> on_node;  // one per node
};

template <class Message>
void DecodeList(const google::protobuf::Value& value, std::vector<Message>& messages) {
  for (const google::protobuf::Value& item : value.list_value().values()) {
    DecodeInto(item, messages.emplace_back());
  }
}

void ReadCluster(const Row& row, Cluster& cluster) {
  ASSERT_NO_FATAL_FAILURE(DecodeInto(row.at("daemonSet"), cluster.daemon_set));
  ASSERT_NO_FATAL_FAILURE(DecodeList(row.at("nodes"), cluster.nodes));
  ASSERT_NO_FATAL_FAILURE(DecodeList(row.at("pods"), cluster.pods));
  corev1::Pod clock;
  DecodeYaml("{metadata: {creationTimestamp: \"" + row.text("now") + "\"}}", clock);
  cluster.now = FromApiTime(clock.metadata().creationtimestamp());
  const CurrentTemplate current{.revision_hash = row.text("currentRevisionHash"), .generation = std::nullopt};
  for (const corev1::Node& node : cluster.nodes) {
    cluster.placements.push_back(Place(cluster.daemon_set.spec().template_().spec(), node));
    auto& on_node = cluster.on_node.emplace_back();
    for (const corev1::Pod& pod : cluster.pods) {
      if (TargetNode(pod) != node.metadata().name()) continue;
      on_node.push_back(DaemonPodOf(pod, current, cluster.daemon_set.spec().minreadyseconds(), cluster.now));
      on_node.back().id = pod.metadata().name();
    }
  }
}

struct Case {
  Row row;
  Cluster cluster;
};

// Read once for all tests: decoding takes longer than deciding.
const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = [] {
    std::vector<Case> read;
    for (Row& row : ReadRows("daemonset_sync.jsonl")) {
      Case& item = read.emplace_back();
      item.row = std::move(row);
      ReadCluster(item.row, item.cluster);
    }
    return read;
  }();
  return cases;
}

std::set<std::string> Names(const google::protobuf::Value& value) {
  std::set<std::string> names;
  for (const google::protobuf::Value& item : value.list_value().values()) names.insert(item.string_value());
  return names;
}

std::string Text(const std::set<std::string>& names) { return fmt::format("[{}]", fmt::join(names, " ")); }

// What one node creates and deletes.
struct Step {
  bool create = false;
  std::set<std::string> deleted;

  bool operator==(const Step&) const = default;
  bool IsNothing() const { return *this == Step{}; }
};

Step StepOf(const DaemonSetVerdict& verdict) {
  Step step{.create = verdict.create, .deleted = {}};
  for (const auto& deletion : verdict.deletions) step.deleted.insert(deletion.id);
  return step;
}

// The reference's answer is for the whole cluster: the part that is about this node.
Step ReferenceStep(const Case& item, std::size_t node) {
  Step step;
  step.create = Names(item.row.at("createdOn")).contains(item.cluster.nodes[node].metadata().name());
  const std::set<std::string> deleted = Names(item.row.at("deleted"));
  for (const DaemonPod& pod : item.cluster.on_node[node]) {
    if (deleted.contains(pod.name)) step.deleted.insert(pod.name);
  }
  return step;
}

bool IsAlive(const DaemonPod& pod) { return !pod.terminating && !pod.failed && !pod.succeeded; }

// The one thing that a rolling update can do on this node after everything else is done: take away the old pod that is
// alone there, or, where the set surges, make the new one beside it.
Step RolloutStep(const Cluster& cluster, std::size_t node) {
  std::vector<const DaemonPod*> alive;
  for (const DaemonPod& pod : cluster.on_node[node]) {
    if (IsAlive(pod)) alive.push_back(&pod);
  }
  if (cluster.daemon_set.spec().updatestrategy().type() != "RollingUpdate" || alive.size() != 1 || alive[0]->updated) {
    return {};
  }
  const bool surges = AllowsSurge(cluster.daemon_set) && cluster.placements[node].should_run;
  return surges ? Step{.create = true, .deleted = {}} : Step{.create = false, .deleted = {alive[0]->name}};
}

TEST(DaemonSetSync, NodesCreateAndDeleteLikeTheReference) {
  ASSERT_EQ(Cases().size(), 600u);
  int equal = 0, rollout = 0, equal_nodes = 0, rollout_nodes = 0, creations = 0, deletions = 0;
  std::string differences;
  for (const Case& item : Cases()) {
    const auto& [row, cluster] = item;
    SCOPED_TRACE(row.line);
    std::vector<Step> steps;
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      steps.push_back(StepOf(ManageDaemonPods(cluster.placements[i], cluster.on_node[i],
                                              AllowsSurge(cluster.daemon_set), /*replace_failed=*/true)));
    }
    // The reference goes on to its rolling update only when no node had anything to do.
    const bool had_nothing_to_do = std::all_of(steps.begin(), steps.end(), [](const Step& s) { return s.IsNothing(); });
    int rolled = 0;
    std::size_t wanted_of_nodes = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Step wanted = ReferenceStep(item, i);
      wanted_of_nodes += (wanted.create ? 1 : 0) + wanted.deleted.size();
      if (steps[i] == wanted) {
        ++equal_nodes;
        creations += steps[i].create ? 1 : 0;
        deletions += static_cast<int>(steps[i].deleted.size());
        continue;
      }
      ++rolled;
      EXPECT_TRUE(had_nothing_to_do && wanted == RolloutStep(cluster, i))
          << "node " << cluster.nodes[i].metadata().name() << "; ours: create " << steps[i].create << ", delete "
          << Text(steps[i].deleted) << "; reference: create " << wanted.create << ", delete " << Text(wanted.deleted);
    }
    EXPECT_EQ(wanted_of_nodes, Names(row.at("createdOn")).size() + Names(row.at("deleted")).size());
    rollout_nodes += rolled;
    ++(rolled == 0 ? equal : rollout);
    if (rolled == 0) continue;
    differences += fmt::format("line {}: the reference's rolling update {}: create on {}, delete {}\n", row.line,
                               AllowsSurge(cluster.daemon_set) ? "surges" : "replaces",
                               Text(Names(row.at("createdOn"))), Text(Names(row.at("deleted"))));
  }
  EXPECT_EQ(equal, 533);
  EXPECT_EQ(rollout, 67);
  EXPECT_EQ(equal_nodes, 1960);
  EXPECT_EQ(rollout_nodes, 87);
  // Of the equal ones: that they are equal says little where nothing happens.
  EXPECT_EQ(creations, 332);
  EXPECT_EQ(deletions, 550);
  const std::string text = fmt::format(
      "{} of {} clusters: every node creates and deletes what the reference does.\n"
      "{} differ as decided: which old pod goes next, and where a surge begins, is not a node's decision; the one "
      "agent\n"
      "that coordinates the rollout takes it, within a strict budget (design.md section 5).\n\n{}",
      equal, Cases().size(), rollout, differences);
  std::puts(text.substr(0, text.find('\n')).c_str());
  EXPECT_TRUE(testing::MatchesGolden("tests/unit/decide/testdata/daemonset_sync_differences.txt", text));
}

// What an agent that is online and has heard everything knows of its node: the objects bound to it, and a pod here for
// each that has not ended.
struct NodeInput {
  std::vector<LocalPod> local;
  MergeInput input;
};

NodeInput InputOf(const Case& item, std::size_t node) {
  const Cluster& cluster = item.cluster;
  NodeInput made;
  MergeInput& input = made.input;
  input.node = &cluster.nodes[node];
  input.node_name = cluster.nodes[node].metadata().name();
  input.node_uid = "node-uid";
  input.daemon_sets = input.objects = Knowledge::kComplete;
  input.runtime_listed = input.manifests_complete = input.server_reachable = true;
  input.now = cluster.now;
  input.sets.push_back({.daemon_set = &cluster.daemon_set, .template_hash = item.row.text("currentRevisionHash")});
  for (const corev1::Pod& pod : cluster.pods) {
    if (TargetNode(pod) != input.node_name) continue;
    input.pods.push_back(&pod);
    input.local.push_back({.uid = pod.metadata().uid(),
                           .object_uid = pod.metadata().uid(),
                           .namespace_ = pod.metadata().namespace_(),
                           .name = pod.metadata().name(),
                           .owner_uid = cluster.daemon_set.metadata().uid(),
                           .template_hash = ValueOf(pod.metadata().labels(), kRevisionHashLabel),
                           .pod = &pod,
                           .created_at = FromApiTime(pod.metadata().creationtimestamp()),
                           .has_worker = true,
                           .stopping = IsTerminating(pod),
                           .ended = IsTerminal(pod),
                           .ready = IsReady(pod.status()),
                           .terminal_phase = IsTerminal(pod) ? pod.status().phase() : std::string()});
  }
  return made;
}

Step MergeStep(const Case& item, std::size_t node) {
  const NodeInput made = InputOf(item, node);
  Step step;
  for (const MergeAction& action : MergePods(made.input).actions) {
    if (std::holds_alternative<merge::CreateObject>(action)) step.create = true;
    // With a grace it is the end of a deletion that somebody has asked for already.
    const auto* deletion = std::get_if<merge::DeleteObject>(&action);
    if (deletion != nullptr && !deletion->grace) step.deleted.insert(deletion->name);
  }
  return step;
}

// Where a set may surge, the reference makes a pod beside one that is being deleted, whoever asked for that. Here the
// containers of the old pod go first: two pods at once are for a rollout that the coordinator leads (RO-05).
bool WaitsForTheOldPod(const Cluster& cluster, std::size_t node) {
  const std::vector<DaemonPod>& pods = cluster.on_node[node];
  return AllowsSurge(cluster.daemon_set) && std::none_of(pods.begin(), pods.end(), IsAlive) &&
         std::any_of(pods.begin(), pods.end(), [](const DaemonPod& pod) { return pod.terminating && TakesPlace(pod); });
}

TEST(DaemonSetSync, TheMergeOfANodeAsksForTheSame) {
  int equal = 0, rollout = 0, waits = 0;
  for (const Case& item : Cases()) {
    SCOPED_TRACE(item.row.line);
    for (std::size_t i = 0; i < item.cluster.nodes.size(); ++i) {
      const Step wanted = ReferenceStep(item, i);
      Step step = MergeStep(item, i);
      if (step == wanted) {
        ++equal;
        continue;
      }
      if (step.IsNothing() && wanted == RolloutStep(item.cluster, i)) {
        ++rollout;
        continue;
      }
      ++waits;
      const bool created = std::exchange(step.create, true);
      EXPECT_TRUE(!created && step == wanted && WaitsForTheOldPod(item.cluster, i))
          << "node " << item.cluster.nodes[i].metadata().name() << "; ours: create " << created << ", delete "
          << Text(step.deleted) << "; reference: create " << wanted.create << ", delete " << Text(wanted.deleted);
    }
  }
  EXPECT_EQ(equal, 1917);
  EXPECT_EQ(rollout, 87);
  EXPECT_EQ(waits, 43);
}

TEST(DaemonSetSync, StatusCountsLikeTheReference) {
  ASSERT_EQ(Cases().size(), 600u);
  for (const auto& [row, cluster] : Cases()) {
    SCOPED_TRACE(row.line);
    std::vector<NodeCount> nodes;
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      nodes.push_back({.should_run = cluster.placements[i].should_run, .pods = cluster.on_node[i]});
    }
    appsv1::DaemonSetStatus wanted;
    ASSERT_NO_FATAL_FAILURE(DecodeInto(row.at("status"), wanted));
    // Whether the reference calls the generation observed hangs on which of its own events had reached it by then,
    // which the vectors do not show; so that is taken from the answer.
    const appsv1::DaemonSetStatus status =
        ComputeDaemonSetStatus(wanted.observedgeneration(), nodes, cluster.daemon_set.status());
    EXPECT_FALSE(DaemonSetStatusDiffers(status, wanted)) << status.ShortDebugString() << "\n"
                                                         << wanted.ShortDebugString();
  }
}

}  // namespace
}  // namespace daemonsetd::decide
