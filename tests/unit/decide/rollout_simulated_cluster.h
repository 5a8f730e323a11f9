// A cluster for the simulation of rollouts: what the API server holds, with the history that watches follow, and nodes
// whose agents run the pods of one DaemonSet by ManageDaemonPods. Time is in whole seconds.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "agent/decide/daemon_set_pods.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

using Second = int;
inline constexpr Second kNever = std::numeric_limits<Second>::max() / 2;

template <class Items>
decltype(auto) At(Items& items, int index) {
  return items[static_cast<std::size_t>(index)];
}

// ---- What the server holds

struct SimulatedPod {
  int id = 0, node = 0, template_id = 0;
  int version = 1;  // resourceVersion
  Second created_at = 0;
  std::optional<Second> ready_since;
  std::optional<Second> failed_at;
  bool terminating = false;
  int surge_to = -1;     // the template that may start beside it
  bool by_step = false;  // a rollout's step asked for its deletion (for the checks; nobody acts on it)

  bool AvailableAt(Second now, Second min_ready) const {
    return !failed_at && ready_since && *ready_since + min_ready <= now;
  }
};
using SimulatedPods = std::map<int, SimulatedPod>;  // of one node, by id

struct NodeRecord {
  bool exists = true;
  bool should_run = true;
  bool keeps = false;  // where it should not run, a pod that is there may stay
  int images_of = 0;   // the template whose images it reports
  std::optional<Second> dead_since;

  bool Desired() const { return exists && should_run; }
};

struct Budget {
  int number = 0;
  bool percent = false;

  int Of(int desired) const { return percent ? (number * desired + 99) / 100 : number; }
};

struct SetSpec {
  int template_id = 0;
  Second template_since = 0;
  bool on_delete = false;
  Budget max_unavailable{1}, max_surge;
  Second min_ready = 0;

  bool Surges() const { return !on_delete && max_surge.number > 0; }
  // How many nodes may be without an available pod for the rollout, or surge.
  int Limit(int desired) const {
    if (Surges()) return max_surge.Of(desired);
    return desired == 0 ? 0 : std::max(max_unavailable.Of(desired), 1);
  }
};

// ---- What a node does by itself

struct SimulatedNode {
  bool machine_up = true;
  bool agent_up = true;
  Second down_since = kNever, found_dead_at = kNever, back_at = kNever;
  bool reboots = false;
  Second next_wake = 0;
  // What its agent has heard.
  SimulatedPods pods;
  std::size_t set_seen = 0;
  struct Local {
    Second ready_at = 0, sick_until = 0;
    std::optional<Second> stops_at;
  };
  std::map<int, Local> local;  // by pod
  int images_wanted = 0;
  Second images_at = kNever;

  bool Works() const { return machine_up && agent_up; }
};

struct SimulatedTemplate {
  std::set<int> bad_on;  // nodes on which its pods never get ready
  Second start = 1;
};

class SimulatedCluster {
 public:
  SimulatedCluster(unsigned seed, bool tracing) : tracing_(tracing), random_(seed) {}

  int Pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  bool Chance(int percent) { return Pick(100) < percent; }
  template <class... Args>
  void Say(fmt::format_string<Args...> format, Args&&... args) {
    if (tracing_) trace.push_back(fmt::format("{:4}: ", now) + fmt::format(format, std::forward<Args>(args)...));
  }

  // ---- The server. Every change goes into the history, in order, and wakes the node.
  struct PodEvent {
    int node, id;
    std::optional<SimulatedPod> pod;  // nothing: it is gone
  };
  std::vector<SimulatedPods> pods;  // by node
  std::vector<NodeRecord> records;
  std::vector<SetSpec> sets;               // the last one holds; the index is the generation
  std::vector<appsv1::DaemonSet> objects;  // the same as objects
  std::vector<PodEvent> pod_history;
  std::vector<std::pair<int, NodeRecord>> node_history;

  const SetSpec& set() const { return sets.back(); }
  void Put(const SetSpec& spec);
  void Put(int node, const NodeRecord& record);
  void Put(SimulatedPod pod);  // with the next version
  void Remove(int node, int id);
  int Desired() const;
  bool HasAvailablePod(int node) const;
  // Dead, and not by this rollout: written down once more, from the design.
  static bool IsSetAside(const NodeRecord& record, const SimulatedPods& here, const SetSpec& set);
  // As they were at `when`, if nothing has changed since.
  static std::vector<DaemonPod> Facts(const SimulatedPods& here, const SetSpec& set, bool dead, Second when);

  // ---- The nodes
  std::vector<SimulatedNode> nodes;
  std::vector<SimulatedTemplate> templates;

  int AddNode();  // with an available pod
  bool IsBad(int template_id, int node) const {
    return templates[static_cast<std::size_t>(template_id)].bad_on.contains(node);
  }
  void TakeDown(int node, bool machine, Second lasts);
  void WakeBy(int node, Second when) { At(nodes, node).next_wake = std::min(At(nodes, node).next_wake, when); }
  void RunNodes();  // one second

  Second now = 0;
  std::vector<std::string> trace;

 private:
  void Wake(int node);
  void RunPods(int node);
  void Manage(int node);
  void Create(int node, const SetSpec& seen);
  void ComeBack(int node);

  bool tracing_;
  std::mt19937 random_;
  int last_id_ = 0;
};

}  // namespace daemonsetd::decide
