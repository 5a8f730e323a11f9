// What Kubernetes' own controller does in its first pass over 600 random clusters, against our rules. The nodes of
// testdata/daemonset_sync.jsonl have no status (it was empty in all of them).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/daemon_set_pods.h"
#include "agent/decide/daemonset_status.h"
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

bool Contains(const std::set<std::string>& all, const std::set<std::string>& some) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

TEST(DaemonSetSync, NodesCreateAndDeleteLikeTheReference) {
  ASSERT_EQ(Cases().size(), 600u);
  int equal = 0, rollout = 0;
  std::string differences;
  for (const auto& [row, cluster] : Cases()) {
    SCOPED_TRACE(row.line);
    std::set<std::string> created, deleted;
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      const DaemonSetVerdict verdict = ManageDaemonPods(cluster.placements[i], cluster.on_node[i],
                                                        AllowsSurge(cluster.daemon_set), /*replace_failed=*/true);
      if (verdict.create) created.insert(cluster.nodes[i].metadata().name());
      for (const auto& deletion : verdict.deletions) deleted.insert(deletion.id);
    }
    const std::set<std::string> wanted_created = Names(row.at("createdOn"));
    const std::set<std::string> wanted_deleted = Names(row.at("deleted"));
    if (created == wanted_created && deleted == wanted_deleted) {
      ++equal;
      continue;
    }
    // The reference goes on to its rolling update only when its nodes had nothing to do.
    const bool is_rollout =
        created.empty() && deleted.empty() && cluster.daemon_set.spec().updatestrategy().type() == "RollingUpdate";
    if (is_rollout) ++rollout;
    EXPECT_TRUE(is_rollout && Contains(wanted_created, created) && Contains(wanted_deleted, deleted))
        << "ours: create on " << Text(created) << ", delete " << Text(deleted) << "; reference: create on "
        << Text(wanted_created) << ", delete " << Text(wanted_deleted);
    differences += fmt::format("line {}: the reference's rolling update {}: create on {}, delete {}\n", row.line,
                               AllowsSurge(cluster.daemon_set) ? "surges" : "replaces", Text(wanted_created),
                               Text(wanted_deleted));
  }
  const std::string text = fmt::format(
      "{} of {} clusters: every node creates and deletes what the reference does.\n"
      "{} differ as decided: which old pod goes next, and where a surge begins, is not a node's decision; the one "
      "agent\n"
      "that coordinates the rollout takes it, within a strict budget (design.md section 5).\n\n{}",
      equal, Cases().size(), rollout, differences);
  std::puts(text.substr(0, text.find('\n')).c_str());
  EXPECT_TRUE(testing::MatchesGolden("tests/unit/decide/testdata/daemonset_sync_differences.txt", text));
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
