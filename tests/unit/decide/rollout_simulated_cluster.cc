#include "tests/unit/decide/rollout_simulated_cluster.h"

#include <algorithm>

namespace daemonsetd::decide {
namespace {

appsv1::DaemonSet ObjectOf(const SetSpec& spec) {
  appsv1::DaemonSet object;
  appsv1::DaemonSetUpdateStrategy& strategy = *object.mutable_spec()->mutable_updatestrategy();
  strategy.set_type(spec.on_delete ? "OnDelete" : "RollingUpdate");
  if (spec.on_delete) return object;
  const auto set = [](const Budget& budget, intstrv1::IntOrString& value) {
    value.set_type(budget.percent ? 1 : 0);
    if (budget.percent) {
      value.set_strval(fmt::format("{}%", budget.number));
    } else {
      value.set_intval(budget.number);
    }
  };
  set(spec.max_unavailable, *strategy.mutable_rollingupdate()->mutable_maxunavailable());
  set(spec.max_surge, *strategy.mutable_rollingupdate()->mutable_maxsurge());
  return object;
}

}  // namespace

// ---- The server

void SimulatedCluster::Put(const SetSpec& spec) {
  sets.push_back(spec);
  objects.push_back(ObjectOf(spec));
  for (std::size_t node = 0; node < nodes.size(); ++node) WakeBy(static_cast<int>(node), now + 1 + Pick(4));
}

void SimulatedCluster::Put(int node, const NodeRecord& record) {
  At(records, node) = record;
  node_history.emplace_back(node, record);
  WakeBy(node, now + 1);
}

void SimulatedCluster::Put(SimulatedPod pod) {
  ++pod.version;
  At(pods, pod.node)[pod.id] = pod;
  pod_history.push_back({pod.node, pod.id, pod});
  WakeBy(pod.node, now + 1 + Pick(2));
}

void SimulatedCluster::Remove(int node, int id) {
  if (At(pods, node).erase(id) == 0) return;
  pod_history.push_back({node, id, std::nullopt});
  WakeBy(node, now + 1 + Pick(2));
}

int SimulatedCluster::Desired() const {
  return static_cast<int>(
      std::count_if(records.begin(), records.end(), [](const NodeRecord& record) { return record.Desired(); }));
}

bool SimulatedCluster::HasAvailablePod(int node) const {
  const SimulatedPods& here = At(pods, node);
  return std::any_of(here.begin(), here.end(), [&](const auto& item) {
    return !item.second.terminating && item.second.AvailableAt(now, set().min_ready);
  });
}

bool SimulatedCluster::IsSetAside(const NodeRecord& record, const SimulatedPods& here, const SetSpec& set) {
  if (!record.dead_since) return false;
  bool has_old = false, has_new = false, surge_asked = false;
  for (const auto& [id, pod] : here) {
    if (pod.terminating && pod.failed_at) continue;
    if (pod.terminating) return false;
    (pod.template_id == set.template_id ? has_new : has_old) = true;
    surge_asked |= pod.surge_to == set.template_id;
  }
  if (*record.dead_since < set.template_since) return true;
  return has_old && !has_new && !(set.Surges() && surge_asked);
}

std::vector<DaemonPod> SimulatedCluster::Facts(const SimulatedPods& here, const SetSpec& set, bool dead, Second when) {
  std::vector<DaemonPod> facts;
  for (const auto& [id, pod] : here) {
    facts.push_back({.id = fmt::format_int(id).str(),
                     .name = fmt::format_int(id).str(),
                     .created_at = WallTime(Seconds(pod.created_at)),
                     .terminating = pod.terminating,
                     .failed = pod.failed_at.has_value(),
                     .updated = pod.template_id == set.template_id,
                     .ready = !dead && pod.ready_since.has_value() && !pod.failed_at,
                     .available = !dead && pod.AvailableAt(when, set.min_ready)});
  }
  return facts;
}

// ---- The nodes

int SimulatedCluster::AddNode() {
  const int node = static_cast<int>(nodes.size());
  nodes.emplace_back().next_wake = now + Pick(3);
  pods.emplace_back();
  records.emplace_back().images_of = set().template_id;
  nodes.back().images_wanted = set().template_id;
  nodes.back().set_seen = sets.size() - 1;
  node_history.emplace_back(node, records.back());
  SimulatedPod pod{.id = ++last_id_, .node = node, .template_id = set().template_id, .ready_since = -1000};
  nodes.back().local[pod.id] = {};
  Put(pod);
  nodes.back().pods = pods.back();
  return node;
}

void SimulatedCluster::TakeDown(int index, bool machine, Second lasts) {
  SimulatedNode& node = At(nodes, index);
  if (!node.Works()) return;
  (machine ? node.machine_up : node.agent_up) = false;
  node.down_since = now;
  node.found_dead_at = now + 10 + Pick(30);
  node.back_at = lasts == kNever ? kNever : now + lasts;
  node.reboots = machine && Chance(60);
  Say("n{} {}{}", index, machine ? "goes down" : "loses its agent", lasts == kNever ? " for ever" : "");
}

void SimulatedCluster::ComeBack(int index) {
  SimulatedNode& node = At(nodes, index);
  node.machine_up = node.agent_up = true;
  node.back_at = node.found_dead_at = kNever;
  Say("n{} is back{}", index, node.reboots ? ", booted anew" : "");
  if (node.reboots) {
    for (auto& [id, local] : node.local) {
      const auto pod = At(pods, index).find(id);
      if (pod == At(pods, index).end() || local.ready_at == kNever) continue;
      local.ready_at = now + At(templates, pod->second.template_id).start;
    }
  }
  node.pods = At(pods, index);  // lists anew
  WakeBy(index, now);
}

void SimulatedCluster::RunNodes() {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const int index = static_cast<int>(i);
    SimulatedNode& node = nodes[i];
    if (now >= node.back_at) ComeBack(index);
    NodeRecord& record = records[i];
    if (now >= node.found_dead_at && !node.Works() && record.exists && !record.dead_since) {
      Say("n{} is found dead", index);
      NodeRecord dead = record;
      dead.dead_since = now;
      Put(index, dead);
    }
    if (now >= node.next_wake) Wake(index);
  }
}

void SimulatedCluster::Wake(int index) {
  SimulatedNode& node = At(nodes, index);
  node.next_wake = kNever;
  if (!node.Works() || !At(records, index).exists) return;
  if (At(records, index).dead_since) {
    NodeRecord alive = At(records, index);
    alive.dead_since.reset();
    Put(index, alive);
  }
  if (Chance(80)) {
    node.pods = At(pods, index);
  } else {
    WakeBy(index, now + 1 + Pick(4));
  }
  if (node.set_seen + 1 < sets.size()) {
    node.set_seen += static_cast<std::size_t>(Pick(static_cast<int>(sets.size() - node.set_seen)));
    if (node.set_seen + 1 < sets.size()) WakeBy(index, now + 1 + Pick(4));
  }
  const SetSpec& seen = sets[node.set_seen];
  if (node.images_wanted != seen.template_id) {
    node.images_wanted = seen.template_id;
    node.images_at = now + Pick(12);
  }
  if (now >= node.images_at) {
    node.images_at = kNever;
    NodeRecord has_images = At(records, index);
    has_images.images_of = node.images_wanted;
    Put(index, has_images);
  }
  WakeBy(index, node.images_at);
  RunPods(index);
  Manage(index);
}

void SimulatedCluster::RunPods(int index) {
  SimulatedNode& node = At(nodes, index);
  const SimulatedPods known = node.pods;
  for (const auto& [id, pod] : known) {
    const auto on_server = At(pods, index).find(id);
    if (on_server == At(pods, index).end()) {  // somebody made short work of it
      node.pods.erase(id);
      node.local.erase(id);
      WakeBy(index, now + 1);
      continue;
    }
    SimulatedNode::Local& local = node.local[id];
    if (pod.terminating) {
      if (!local.stops_at) local.stops_at = now + Pick(6);
      if (now < *local.stops_at) {
        WakeBy(index, *local.stops_at);
        continue;
      }
      Say("n{} has stopped pod {}", index, id);
      Remove(index, id);
      node.pods.erase(id);
      node.local.erase(id);
      continue;
    }
    if (on_server->second.failed_at) continue;
    const Second up_at = std::max(local.ready_at, local.sick_until);
    if (now < up_at) WakeBy(index, up_at);
    if ((now >= up_at) == on_server->second.ready_since.has_value()) continue;
    SimulatedPod changed = on_server->second;
    changed.ready_since.reset();
    if (now >= up_at) changed.ready_since = now;
    Say("n{}: pod {} is {}", index, id, changed.ready_since ? "ready" : "not ready");
    Put(changed);
    node.pods[id] = At(pods, index).at(id);
  }
}

void SimulatedCluster::Manage(int index) {
  SimulatedNode& node = At(nodes, index);
  const NodeRecord& record = At(records, index);
  const SetSpec& seen = sets[node.set_seen];
  const appsv1::DaemonSet& object = objects[node.set_seen];
  bool replace_failed = false;
  for (const auto& [id, pod] : node.pods) {
    if (pod.ready_since && now < *pod.ready_since + seen.min_ready) WakeBy(index, *pod.ready_since + seen.min_ready);
    if (!pod.failed_at) continue;
    replace_failed |= *pod.failed_at + 5 <= now;
    if (!replace_failed) WakeBy(index, *pod.failed_at + 5);
  }
  const Placement placement{.should_run = record.should_run, .should_keep_running = record.should_run || record.keeps};
  const DaemonSetVerdict verdict =
      ManageDaemonPods(placement, Facts(node.pods, seen, false, now), AllowsSurge(object), replace_failed);
  for (const DaemonSetVerdict::Deletion& deletion : verdict.deletions) {
    const int id = std::stoi(deletion.id);
    const auto pod = At(pods, index).find(id);
    if (pod == At(pods, index).end()) continue;
    Say("n{} deletes pod {}: {}", index, id, deletion.reason);
    SimulatedPod changed = pod->second;
    changed.terminating = true;
    Put(changed);
    node.pods[id] = At(pods, index).at(id);
  }
  bool create = verdict.create;
  if (!create && record.should_run && AllowsSurge(object)) {
    bool asked = false, has_new = false;
    for (const auto& [id, pod] : node.pods) {
      has_new |= pod.template_id == seen.template_id;
      asked |= !pod.terminating && !pod.failed_at && pod.surge_to == seen.template_id;
    }
    create = asked && !has_new;
  }
  if (create) Create(index, seen);
}

void SimulatedCluster::Create(int index, const SetSpec& seen) {
  SimulatedNode& node = At(nodes, index);
  const SimulatedPod pod{.id = ++last_id_, .node = index, .template_id = seen.template_id, .created_at = now};
  const Second pull = node.images_at == kNever ? 0 : node.images_at - now;
  const Second start = At(templates, seen.template_id).start + Pick(3);
  node.local[pod.id] = {.ready_at = IsBad(seen.template_id, index) ? kNever : now + pull + start};
  Say("n{} creates pod {} of template {}", index, pod.id, pod.template_id);
  Put(pod);
  node.pods[pod.id] = At(pods, index).at(pod.id);
  WakeBy(index, now + 1);
}

}  // namespace daemonsetd::decide
