// What Kubernetes' own controller does in its first pass over 600 random clusters, against our rules. The nodes of
// testdata/daemonset_sync.jsonl have no status (it was empty in all of them).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
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
#include "agent/decide/rollout.h"
#include "agent/decide/rollout_budget.h"
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
Step RollingUpdateOf(const Cluster& cluster, std::size_t node) {
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

// The first pass over the whole cluster: the pods deleted, and the nodes a pod is created on.
struct Pass {
  std::set<std::string> created_on, deleted;

  bool operator==(const Pass&) const = default;
};

std::string Text(const Pass& pass) {
  return fmt::format("create on {}, delete {}", Text(pass.created_on), Text(pass.deleted));
}

Pass PassOfTheNodes(const Cluster& cluster) {
  Pass pass;
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
    const Step step = StepOf(ManageDaemonPods(cluster.placements[i], cluster.on_node[i],
                                              AllowsSurge(cluster.daemon_set), /*replace_failed=*/true));
    if (step.create) pass.created_on.insert(cluster.nodes[i].metadata().name());
    pass.deleted.insert(step.deleted.begin(), step.deleted.end());
  }
  return pass;
}

Pass PassOfTheCoordinator(const Cluster& cluster) {
  RolloutInput input{.daemon_set = &cluster.daemon_set, .nodes = {}};
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
    input.nodes.push_back({.name = cluster.nodes[i].metadata().name(),
                           .should_run = cluster.placements[i].should_run,
                           .has_images = true,
                           .pods = cluster.on_node[i]});
  }
  Pass pass;
  for (const RolloutStep& step : PlanRollout(input).steps) {
    const bool surges = step.kind == RolloutStep::Kind::kSurge;
    (surges ? pass.created_on : pass.deleted).insert(surges ? step.node : step.pod_id);
  }
  return pass;
}

// In what we differ from the reference's rolling update, as decided (design.md section 5).
struct Differences {
  bool desired_nodes_only = false, broken_is_deleted = false, one_step_at_a_time = false, ready_has_its_turn = false;
  bool from_the_last = false;  // the reference walks the nodes in an order that changes with each run
};
constexpr const char* kDifferences[] = {
    "a pod on a node that would not start it again (a NoSchedule taint) is not taken, and does not count",
    "where the set surges, an old pod that is not ready is deleted, rather than kept beside the new one",
    "an old pod beside one that is on its way out stays until that is gone",
    "an old pod that is ready, and not available yet, goes within maxUnavailable nodes without a ready pod",
};

// The reference's rolling update (semantics.md section 6), written down once more, and with our differences on demand.
Pass RollingUpdate(const Cluster& cluster, const Differences& ours) {
  Pass pass;
  const appsv1::DaemonSetUpdateStrategy& strategy = cluster.daemon_set.spec().updatestrategy();
  if (strategy.type() != "RollingUpdate") return pass;
  const auto desired = static_cast<std::int32_t>(std::count_if(cluster.placements.begin(), cluster.placements.end(),
                                                               [](const Placement& p) { return p.should_run; }));
  const std::int32_t max_surge = RoundUpBudget(strategy.rollingupdate().maxsurge(), desired);
  std::int32_t max_unavailable = RoundUpBudget(strategy.rollingupdate().maxunavailable(), desired);
  if (max_surge == 0 && max_unavailable == 0 && desired > 0) max_unavailable = 1;

  std::int32_t unavailable = 0, surging = 0, available = 0, unserved = 0;
  std::vector<std::string> candidates, leave, young;
  for (std::size_t n = 0; n < cluster.nodes.size(); ++n) {
    const std::size_t i = ours.from_the_last ? cluster.nodes.size() - 1 - n : n;
    const std::vector<DaemonPod>& pods = cluster.on_node[i];
    const std::string& node = cluster.nodes[i].metadata().name();
    const bool runs = cluster.placements[i].should_run;
    if (!runs && (pods.empty() || ours.desired_nodes_only)) continue;
    const DaemonPod* old_pod = nullptr;
    const DaemonPod* new_pod = nullptr;
    std::size_t alive = 0;
    for (const DaemonPod& pod : pods) {
      if (pod.terminating) continue;
      ++alive;
      (pod.updated ? new_pod : old_pod) = &pod;
    }
    if (std::none_of(pods.begin(), pods.end(), [](const DaemonPod& pod) { return IsAlive(pod) && pod.ready; })) {
      ++unserved;
    }
    const bool excess = alive > 2 || (alive == 2 && (old_pod == nullptr || new_pod == nullptr));
    const bool waits = ours.one_step_at_a_time && alive < pods.size();
    if (excess) {
      ++unavailable, ++surging;
      continue;
    }
    const DaemonPod* shown = old_pod != nullptr ? old_pod : new_pod;
    if (shown != nullptr && shown->available) ++available;
    if (old_pod == nullptr || new_pod != nullptr) {
      if (old_pod != nullptr || new_pod == nullptr || !new_pod->available) ++unavailable;
      if (old_pod == nullptr) continue;
      if (!new_pod->available) {
        ++surging;
      } else if (max_surge > 0) {
        pass.deleted.insert(old_pod->id);
      }
    } else if (max_surge == 0) {
      if (!old_pod->available) ++unavailable;
      if (waits) continue;
      if (old_pod->available) {
        candidates.push_back(old_pod->id);
      } else if (ours.ready_has_its_turn && old_pod->ready) {
        young.push_back(old_pod->id);
      } else {
        pass.deleted.insert(old_pod->id);
      }
    } else if (!waits) {
      if (!old_pod->available && (!runs || (ours.broken_is_deleted && !old_pod->ready))) {
        pass.deleted.insert(old_pod->id);
      } else if (!old_pod->available) {
        pass.created_on.insert(node);
      } else if (runs) {
        candidates.push_back(node);
      } else {
        leave.push_back(old_pod->id);
      }
    }
  }
  const std::int32_t free = std::max(max_surge == 0 ? max_unavailable - unavailable : max_surge - surging, 0);
  candidates.resize(std::min(candidates.size(), static_cast<std::size_t>(free)));
  (max_surge == 0 ? pass.deleted : pass.created_on).insert(candidates.begin(), candidates.end());
  young.resize(std::min(young.size(), static_cast<std::size_t>(std::max(max_unavailable - unserved, 0))));
  pass.deleted.insert(young.begin(), young.end());
  leave.resize(std::min(leave.size(), static_cast<std::size_t>(std::max(available - desired, 0))));
  pass.deleted.insert(leave.begin(), leave.end());
  return pass;
}

// The fewest of our differences that lead from the reference's pass to ours: the numbers of kDifferences. Empty: none
// do.
std::vector<int> DifferencesBetween(const Cluster& cluster, const Pass& wanted, const Pass& ours) {
  if (RollingUpdate(cluster, {}) != wanted && RollingUpdate(cluster, {.from_the_last = true}) != wanted) return {};
  std::vector<int> fewest;
  for (int set = 1; set < 16; ++set) {
    const Differences differences{(set & 1) != 0, (set & 2) != 0, (set & 4) != 0, (set & 8) != 0, false};
    if (RollingUpdate(cluster, differences) != ours) continue;
    std::vector<int> numbers;
    for (int number = 0; number < 4; ++number) {
      if ((set >> number & 1) != 0) numbers.push_back(number + 1);
    }
    if (fewest.empty() || numbers.size() < fewest.size()) fewest = numbers;
  }
  return fewest;
}

TEST(DaemonSetSync, TheFirstPassIsTheReferencesButForWhatWeDecided) {
  ASSERT_EQ(Cases().size(), 600u);
  int equal = 0, creations = 0, deletions = 0, rollouts = 0, steps = 0;
  std::string differences;
  for (const Case& item : Cases()) {
    const auto& [row, cluster] = item;
    SCOPED_TRACE(row.line);
    const Pass wanted{.created_on = Names(row.at("createdOn")), .deleted = Names(row.at("deleted"))};
    Pass ours = PassOfTheNodes(cluster);
    // The reference goes on to its rolling update only when no node had anything to do.
    const bool rolls = ours == Pass{};
    if (rolls) ours = PassOfTheCoordinator(cluster);
    if (ours != wanted) {
      const std::vector<int> rules = rolls ? DifferencesBetween(cluster, wanted, ours) : std::vector<int>{};
      EXPECT_FALSE(rules.empty()) << "ours: " << Text(ours) << "; the reference: " << Text(wanted);
      differences += fmt::format("line {}, rule {}: {}; the reference: {}\n", row.line, fmt::join(rules, " and "),
                                 Text(ours), Text(wanted));
      continue;
    }
    ++equal;
    if (rolls && ours != Pass{}) {
      ++rollouts;
      steps += static_cast<int>(ours.created_on.size() + ours.deleted.size());
    } else {
      creations += static_cast<int>(ours.created_on.size());
      deletions += static_cast<int>(ours.deleted.size());
    }
  }
  EXPECT_EQ(equal, 576);
  // Of the equal ones: that they are equal says little where nothing happens.
  EXPECT_EQ(creations, 332);
  EXPECT_EQ(deletions, 550);
  EXPECT_EQ(rollouts, 43);
  EXPECT_EQ(steps, 54);
  const std::string text = fmt::format(
      "{} of {} clusters: the first pass deletes and creates what the reference does.\n"
      "{} differ as decided (design.md section 5):\n"
      "  1. {}\n  2. {}\n  3. {}\n  4. {}\n\n{}",
      equal, Cases().size(), Cases().size() - static_cast<std::size_t>(equal), kDifferences[0], kDifferences[1],
      kDifferences[2], kDifferences[3], differences);
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
  const std::int32_t min_ready_seconds = cluster.daemon_set.spec().minreadyseconds();
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
                           .available = DaemonPodOf(pod, {}, min_ready_seconds, cluster.now).available,
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
      if (step.IsNothing() && wanted == RollingUpdateOf(item.cluster, i)) {
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
