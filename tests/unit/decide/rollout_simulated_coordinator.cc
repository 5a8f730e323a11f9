#include "tests/unit/decide/rollout_simulated_coordinator.h"

#include <algorithm>

#include <fmt/format.h>

namespace daemonsetd::decide {
namespace {

constexpr Second kImagesAwaited = 20;

// Moves on in a history: to its end, or for now only to somewhere.
std::size_t MoveOn(std::size_t heard, std::size_t end, SimulatedCluster& cluster, bool calm) {
  if (heard == end || cluster.Chance(calm ? 90 : 60)) return end;
  return heard + static_cast<std::size_t>(cluster.Pick(static_cast<int>(end - heard)));
}

}  // namespace

bool SimulatedCoordinator::Hear(SimulatedCluster& cluster, bool calm) {
  if (lists_anew) {
    lists_anew = false;
    pods = cluster.pods;
    records = cluster.records;
    set = cluster.sets.size() - 1;
    pods_heard = cluster.pod_history.size();
    nodes_heard = cluster.node_history.size();
    current_at = cluster.now;
    deleted.clear();
    surged.clear();
    read.clear();
    return true;
  }
  if (cluster.now < deaf_until) return false;
  const std::size_t heard = set + pods_heard + nodes_heard;
  set = MoveOn(set, cluster.sets.size() - 1, cluster, calm);
  const std::size_t pods_end = MoveOn(pods_heard, cluster.pod_history.size(), cluster, calm);
  for (; pods_heard < pods_end; ++pods_heard) {
    const SimulatedCluster::PodEvent& event = cluster.pod_history[pods_heard];
    if (!event.pod) {
      At(pods, event.node).erase(event.id);
    } else if (const auto known = read.find(event.id); known == read.end() || known->second < event.pod->version) {
      At(pods, event.node)[event.id] = *event.pod;
    }
  }
  if (pods_heard == cluster.pod_history.size()) current_at = cluster.now;
  const std::size_t nodes_end = MoveOn(nodes_heard, cluster.node_history.size(), cluster, calm);
  for (; nodes_heard < nodes_end; ++nodes_heard) {
    const auto& [node, record] = cluster.node_history[nodes_heard];
    At(records, node) = record;
  }
  return heard != set + pods_heard + nodes_heard;
}

void SimulatedCoordinator::ReadWhatTimeMadeAvailable(const SimulatedCluster& cluster) {
  const Second min_ready = cluster.sets[set].min_ready;
  if (min_ready == 0 || current_at == cluster.now) return;
  std::vector<SimulatedPod> doubtful;
  for (const SimulatedPods& here : pods) {
    for (const auto& [id, pod] : here) {
      const auto known = read.find(id);
      const bool was_read = known != read.end() && known->second == pod.version;
      const bool since = pod.AvailableAt(cluster.now, min_ready) && !pod.AvailableAt(current_at, min_ready);
      if (since && !was_read) doubtful.push_back(pod);
    }
  }
  for (const SimulatedPod& pod : doubtful) {
    const auto found = At(cluster.pods, pod.node).find(pod.id);
    if (found == At(cluster.pods, pod.node).end()) {
      At(pods, pod.node).erase(pod.id);
      read[pod.id] = kNever;
    } else {
      At(pods, pod.node)[pod.id] = found->second;
      read[pod.id] = found->second.version;
    }
  }
}

RolloutInput SimulatedCoordinator::InputOf(const SimulatedCluster& cluster) const {
  const SetSpec& spec = cluster.sets[set];
  RolloutInput input{.daemon_set = &cluster.objects[set], .nodes = {}};
  for (std::size_t i = 0; i < records.size(); ++i) {
    const NodeRecord& record = records[i];
    if (!record.exists) continue;
    const bool dead = record.dead_since.has_value();
    RolloutNode node{.name = fmt::format_int(1000 + i).str(),
                     .should_run = record.should_run,
                     .dead = dead,
                     .dead_before = dead && *record.dead_since < spec.template_since,
                     .has_images = record.images_of == spec.template_id,
                     .pods = SimulatedCluster::Facts(pods[i], spec, dead, cluster.now)};
    std::size_t next = 0;
    for (const auto& [id, pod] : pods[i]) {
      DaemonPod& facts = node.pods[next++];
      facts.terminating |= deleted.contains(id);
      const auto written = surged.find(id);
      const bool asked =
          pod.surge_to == spec.template_id || (written != surged.end() && written->second == spec.template_id);
      node.surge_asked |= asked && !facts.terminating && !facts.failed && !facts.updated;
    }
    input.wait_for_images |= record.should_run && !node.has_images;
    input.nodes.push_back(std::move(node));
  }
  input.wait_for_images &= cluster.now < spec.template_since + kImagesAwaited;
  return input;
}

int SimulatedCoordinator::Desired() const {
  return static_cast<int>(
      std::count_if(records.begin(), records.end(), [](const NodeRecord& record) { return record.Desired(); }));
}

}  // namespace daemonsetd::decide
