#include "agent/decide/rollout.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/decide/pod_spec.h"
#include "agent/decide/rollout_budget.h"

namespace daemonsetd::decide {
namespace {

// One node that should run a pod.
struct Sight {
  const RolloutNode* node = nullptr;
  int pods = 0;     // that take the set's place on the node
  int running = 0;  // of them: neither ended nor on their way out
  bool terminating = false;
  bool has_old = false;
  bool has_updated = false;
  bool ready = false;              // a running pod is
  bool available = false;          // a running pod is
  bool updated_available = false;  // a running pod of the new template is
  // The running old pod that is alone on its node. Beside any other pod the node still has something to do by itself,
  // or a step is under way.
  const DaemonPod* replaceable = nullptr;
};

bool IsRunning(const DaemonPod& pod) { return !pod.terminating && !pod.failed && !pod.succeeded; }

Sight LookAt(const RolloutNode& node) {
  Sight sight{.node = &node};
  const DaemonPod* last = nullptr;
  for (const DaemonPod& pod : node.pods) {
    if (!TakesPlace(pod)) continue;
    last = &pod;
    ++sight.pods;
    sight.terminating |= pod.terminating;
    sight.has_old |= !pod.updated;
    sight.has_updated |= pod.updated;
    if (!IsRunning(pod)) continue;
    ++sight.running;
    if (node.dead) continue;
    sight.ready |= pod.ready;
    if (!pod.available) continue;
    sight.available = true;
    sight.updated_available |= pod.updated;
  }
  if (sight.pods == 1 && IsRunning(*last) && !last->updated && !node.dead) sight.replaceable = last;
  return sight;
}

// Of a dead node. A pod on its way out, or none, may be a step's doing; the new version may have killed its node,
// unless the node was dead before it came.
bool MayHaveDiedOfIt(const Sight& sight, bool surges) {
  if (sight.terminating) return true;
  if (sight.node->dead_before) return false;
  return sight.pods == 0 || sight.has_updated || (surges && sight.node->surge_asked);
}

bool SurgeUnderWay(const Sight& sight) {
  return !sight.updated_available && (sight.node->surge_asked || sight.running > 1);
}

class Planner {
 public:
  explicit Planner(const RolloutInput& input) : input_(input) {}

  RolloutPlan Plan() {
    const appsv1::DaemonSetUpdateStrategy& strategy = input_.daemon_set->spec().updatestrategy();
    RolloutProgress& progress = plan_.progress;
    progress.desired = static_cast<std::int32_t>(std::count_if(
        input_.nodes.begin(), input_.nodes.end(), [](const RolloutNode& node) { return node.should_run; }));
    progress.rolling = strategy.type() == "RollingUpdate";
    if (progress.rolling) {
      const appsv1::RollingUpdateDaemonSet& budget = strategy.rollingupdate();
      progress.max_surge = RoundUpBudget(budget.maxsurge(), progress.desired);
      surges_ = progress.max_surge > 0;
      if (!surges_) progress.max_unavailable = RoundUpBudget(budget.maxunavailable(), progress.desired);
      if (!surges_ && progress.max_unavailable == 0 && progress.desired > 0) progress.max_unavailable = 1;
    }
    progress.refusal = SurgeConflict(*input_.daemon_set);
    Count();
    const bool is_going = input_.daemon_set->metadata().has_deletiontimestamp();
    if (progress.rolling && progress.refusal.empty() && !is_going) TakeSteps();
    return std::move(plan_);
  }

 private:
  void Count() {
    RolloutProgress& progress = plan_.progress;
    for (const RolloutNode& node : input_.nodes) {
      if (node.should_run) sights_.push_back(LookAt(node));
    }
    std::sort(sights_.begin(), sights_.end(),
              [](const Sight& a, const Sight& b) { return a.node->name < b.node->name; });
    for (const Sight& sight : sights_) {
      const RolloutNode& node = *sight.node;
      if (node.dead && !MayHaveDiedOfIt(sight, surges_)) {
        progress.set_aside.push_back(node.name);
        continue;
      }
      if (sight.updated_available && sight.pods == 1) ++progress.updated;
      if (sight.has_old) ++progress.outdated;
      if (!sight.ready) ++unserved_;
      if (!sight.available) {
        ++progress.unavailable;
        (node.dead ? progress.dead_updated : progress.broken).push_back(node.name);
      }
      // A dead node that counts may have died in its surge.
      if (surges_ && (node.dead || SurgeUnderWay(sight))) ++surging_;
    }
    progress.complete = progress.updated + static_cast<std::int32_t>(progress.set_aside.size()) == progress.desired;
  }

  // Names are in order, so the steps are.
  void TakeSteps() {
    std::vector<const Sight*> young, healthy;
    for (const Sight& sight : sights_) {
      if (sight.replaceable == nullptr) continue;
      if (!sight.replaceable->ready) {
        Add(RolloutStep::Kind::kDelete, sight, "its template changed and it is not ready");
      } else if (!surges_ || !sight.node->surge_asked) {
        (sight.available ? healthy : young).push_back(&sight);
      }
    }
    if (surges_) {
      for (const Sight* sight : young) {
        Add(RolloutStep::Kind::kSurge, *sight, "its template changed and it is not available yet");
        ++surging_;
      }
      Take(std::move(healthy), surging_, plan_.progress.max_surge);
    } else {
      // They count already, but they serve: a longer minReadySeconds makes every pod young at once.
      Take(std::move(young), unserved_, plan_.progress.max_unavailable);
      Take(std::move(healthy), plan_.progress.unavailable, plan_.progress.max_unavailable);
    }
  }

  // As many of them as the budget leaves, of which `taken` are used up.
  void Take(std::vector<const Sight*> nodes, std::int32_t taken, std::int32_t limit) {
    std::sort(nodes.begin(), nodes.end(), [](const Sight* a, const Sight* b) {
      return a->node->has_images != b->node->has_images ? a->node->has_images : a->node->name < b->node->name;
    });
    for (const Sight* sight : nodes) {
      if (taken >= limit) break;
      if (input_.wait_for_images && !sight->node->has_images) {
        plan_.progress.images_awaited = true;
        break;
      }
      ++taken;
      Add(surges_ ? RolloutStep::Kind::kSurge : RolloutStep::Kind::kDelete, *sight,
          fmt::format("its template changed (node {} of {} that may {})", taken, limit,
                      surges_ ? "surge" : "be unavailable"));
    }
  }

  void Add(RolloutStep::Kind kind, const Sight& sight, std::string reason) {
    plan_.steps.push_back({kind, sight.node->name, sight.replaceable->id, std::move(reason)});
  }

  const RolloutInput& input_;
  RolloutPlan plan_;
  bool surges_ = false;
  std::int32_t surging_ = 0;
  std::int32_t unserved_ = 0;  // nodes that count, without a ready pod
  std::vector<Sight> sights_;  // by name
};

// The first port of the host that the container takes; empty: none. The API server sets hostPort on the host's network;
// a template that did not come through it may lack that.
std::string HostPort(const corev1::Container& container, bool host_network) {
  for (const corev1::ContainerPort& port : container.ports()) {
    const std::int32_t number = port.hostport() == 0 && host_network ? port.containerport() : port.hostport();
    if (number == 0) continue;
    const bool is_tcp = port.protocol().empty() || port.protocol() == "TCP";
    return is_tcp ? fmt::to_string(number) : fmt::format("{}/{}", number, port.protocol());
  }
  return {};
}

}  // namespace

RolloutPlan PlanRollout(const RolloutInput& input) { return Planner(input).Plan(); }

std::string SurgeConflict(const appsv1::DaemonSet& daemon_set) {
  if (!AllowsSurge(daemon_set)) return {};
  const corev1::PodSpec& spec = daemon_set.spec().template_().spec();
  std::vector<const corev1::Container*> containers;
  for (const corev1::Container& container : spec.containers()) containers.push_back(&container);
  for (const corev1::Container& container : spec.initcontainers()) {
    if (IsSidecar(container)) containers.push_back(&container);
  }
  for (const corev1::Container* container : containers) {
    const std::string port = HostPort(*container, spec.hostnetwork());
    if (port.empty()) continue;
    return fmt::format(
        "maxSurge needs two pods side by side on a node, and container {} takes port {} of the host, which only one "
        "can: "
        "set maxUnavailable in place of maxSurge",
        container->name(), port);
  }
  return {};
}

}  // namespace daemonsetd::decide
