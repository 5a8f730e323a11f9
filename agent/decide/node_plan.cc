#include "agent/decide/node_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "agent/decide/critical_pod.h"
#include "agent/decide/daemon_pod.h"

namespace daemonsetd::decide {
namespace {

Placement PlaceWorkload(const Workload& workload, const corev1::Node& node) {
  if (workload.kind == Workload::Kind::kDaemonSet) return Place(workload.placement_spec, node);
  corev1::PodSpec spec = workload.placement_spec;
  spec.add_tolerations()->set_operator_("Exists");
  return Place(spec, node);
}

class NodePlanner {
 public:
  NodePlanner(const corev1::Node& node, const std::vector<const Workload*>& workloads,
              const std::vector<KnownPod>& pods, bool complete)
      : node_(node), workloads_(workloads), pods_(pods), complete_(complete) {
    plan_.decisions.resize(workloads.size());
    for (const KnownPod& pod : pods_) {
      if (!pod.elsewhere) by_owner_[pod.owner_uid].push_back(&pod);
      if (pod.pod && !pod.terminal) holding_.push_back(pod.pod);
    }
  }

  NodePlan Plan() {
    for (const std::size_t index : ByPriority()) PlanWorkload(index);
    if (complete_) StopOrphans();
    return std::move(plan_);
  }

 private:
  // Room goes to the more important pods first; names break ties, so that the outcome does not depend on the order
  // in which files were read.
  std::vector<std::size_t> ByPriority() const {
    std::vector<std::size_t> order(workloads_.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
      const Workload& left = *workloads_[a];
      const Workload& right = *workloads_[b];
      const auto left_priority = PriorityOf(left.next_pod.spec());
      const auto right_priority = PriorityOf(right.next_pod.spec());
      if (left_priority != right_priority) return left_priority > right_priority;
      if (left.namespace_ != right.namespace_) return left.namespace_ < right.namespace_;
      return left.name < right.name;
    });
    return order;
  }

  void Stop(const KnownPod& pod, std::string reason) { plan_.stops.push_back({pod.uid, std::move(reason)}); }

  // The pods of a workload that are not on their way out, oldest first (semantics.md section 5, "Oldest").
  std::vector<const KnownPod*> LivePods(const Workload& workload) const {
    std::vector<const KnownPod*> live;
    const auto owned = by_owner_.find(workload.uid);
    if (owned == by_owner_.end()) return live;
    for (const KnownPod* pod : owned->second) {
      if (!pod->terminating) live.push_back(pod);
    }
    std::sort(live.begin(), live.end(), [](const KnownPod* a, const KnownPod* b) {
      return a->created_at != b->created_at ? a->created_at < b->created_at : a->uid < b->uid;
    });
    return live;
  }

  void PlanWorkload(std::size_t index) {
    const Workload& workload = *workloads_[index];
    WorkloadDecision& decision = plan_.decisions[index];
    decision.placement = PlaceWorkload(workload, node_);
    std::vector<const KnownPod*> live = LivePods(workload);

    if (!decision.placement.should_keep_running) {
      for (const KnownPod* pod : live) Stop(*pod, decision.placement.reason);
      decision.waiting_for = decision.placement.reason;
      return;
    }
    for (std::size_t i = 1; i < live.size(); ++i) Stop(*live[i], "another pod of the same workload is older");
    if (!live.empty()) {
      decision.pod_uid = live.front()->uid;
      decision.admission.admitted = true;  // a running pod is never judged again (PL-07, PL-10)
      PlanExisting(index, *live.front());
      return;
    }
    if (!decision.placement.should_run) {
      decision.waiting_for = decision.placement.reason;
      return;
    }
    const auto owned = by_owner_.find(workload.uid);
    if (owned != by_owner_.end() && !owned->second.empty()) {
      // Without surge the old pod must be gone before the new one starts (RO-05).
      decision.pod_uid = owned->second.front()->uid;
      decision.waiting_for = "the old pod to be gone";
      return;
    }
    decision.admission = Admit(workload.next_pod, node_, holding_, workload.kind == Workload::Kind::kPod);
    if (!decision.admission.admitted) {
      decision.waiting_for = decision.admission.message;
      return;
    }
    holding_.push_back(&workload.next_pod);
    plan_.starts.push_back({index});
  }

  void PlanExisting(std::size_t index, const KnownPod& pod) {
    const Workload& workload = *workloads_[index];
    WorkloadDecision& decision = plan_.decisions[index];
    // A hash of another version says nothing about the template: adopt, never restart (LC-22).
    const bool same = pod.hash_version != kSpecHashVersion || pod.template_hash == workload.template_hash;
    if (same) {
      if (!pod.has_worker) plan_.adoptions.push_back({index, pod.uid, pod.sequence});
      return;
    }
    if (workload.on_delete) {
      decision.waiting_for = "updateStrategy OnDelete: the old template runs until its pod is deleted";
      return;
    }
    if (!workload.restart_hash.empty() && pod.restart_hash == workload.restart_hash) {
      if (pod.has_worker) {
        plan_.updates.push_back({index, pod.uid});
      } else {
        plan_.adoptions.push_back({index, pod.uid, pod.sequence});
      }
      return;
    }
    if (!pod.healthy) {
      // A pod that is broken already is replaced at once (RO-14, RO-16).
      Stop(pod, "its template changed and the old pod is not ready");
      decision.waiting_for = "the old pod to be gone";
    } else if (workload.images_present) {
      Stop(pod, "its template changed");
      decision.waiting_for = "the old pod to be gone";
    } else {
      plan_.pulls.push_back(index);
      decision.waiting_for = "the images of the new template; the old pod runs on meanwhile";
    }
  }

  void StopOrphans() {
    for (const KnownPod& pod : pods_) {
      if (pod.terminating || pod.elsewhere) continue;
      const bool owned = std::any_of(workloads_.begin(), workloads_.end(),
                                     [&](const Workload* workload) { return workload->uid == pod.owner_uid; });
      if (!owned) Stop(pod, "no manifest asks for it any more");
    }
  }

  const corev1::Node& node_;
  const std::vector<const Workload*>& workloads_;
  const std::vector<KnownPod>& pods_;
  const bool complete_;
  std::map<std::string, std::vector<const KnownPod*>> by_owner_;
  std::vector<const corev1::Pod*> holding_;
  NodePlan plan_;
};

}  // namespace

NodePlan PlanNode(const corev1::Node& node, const std::vector<const Workload*>& workloads,
                  const std::vector<KnownPod>& pods, bool complete) {
  return NodePlanner(node, workloads, pods, complete).Plan();
}

}  // namespace daemonsetd::decide
