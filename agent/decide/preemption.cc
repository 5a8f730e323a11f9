#include "agent/decide/preemption.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/decide/admission.h"
#include "agent/decide/api_time.h"
#include "agent/decide/critical_pod.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/resources.h"

namespace daemonsetd::decide {
namespace {

constexpr std::size_t kMostNamed = 5;

int QosRank(const corev1::Pod& pod) {
  switch (ComputeQos(pod.spec())) {
    case QosClass::kGuaranteed: return 2;
    case QosClass::kBurstable: return 1;
    case QosClass::kBestEffort: return 0;
  }
  return 0;
}

WallTime StartOf(const corev1::Pod& pod) {
  return FromApiTime(pod.status().has_starttime() ? pod.status().starttime() : pod.metadata().creationtimestamp());
}

// Who stays rather than who. A total order, so that the outcome does not depend on the order of a list.
bool IsMoreImportant(const corev1::Pod* a, const corev1::Pod* b) {
  if (PriorityOf(a->spec()) != PriorityOf(b->spec())) return PriorityOf(a->spec()) > PriorityOf(b->spec());
  if (const int left = QosRank(*a), right = QosRank(*b); left != right) return left > right;
  if (const WallTime left = StartOf(*a), right = StartOf(*b); left != right) return left < right;
  return NameOf(*a) < NameOf(*b);
}

std::string Names(const std::vector<const corev1::Pod*>& pods) {
  std::string names;
  for (std::size_t i = 0; i < pods.size() && i < kMostNamed; ++i) {
    names += fmt::format("{}{} (priority {})", i == 0 ? "" : ", ", NameOf(*pods[i]), PriorityOf(pods[i]->spec()));
  }
  if (pods.size() > kMostNamed) names += fmt::format(" and {} more", pods.size() - kMostNamed);
  return names;
}

}  // namespace

Preemption MakeRoom(const corev1::Pod& pod, const corev1::Node& node, const std::vector<PreemptionCandidate>& others) {
  std::vector<const corev1::Pod*> all, staying, leaving;
  for (const PreemptionCandidate& other : others) {
    all.push_back(other.pod);
    (other.terminating ? leaving : staying).push_back(other.pod);
  }
  Preemption result;
  const Admission now = Admit(pod, node, all);
  if (now.admitted) {
    result.answer = Preemption::Answer::kFits;
    return result;
  }
  result.message = now.message;
  if (now.reason == kNodeAffinityReason || now.reason == kNodePressureReason) return result;
  if (!leaving.empty() && Admit(pod, node, staying).admitted) {
    result.answer = Preemption::Answer::kWait;
    result.message += fmt::format("; room comes when {} ended", Names(leaving));
    return result;
  }
  if (pod.spec().preemptionpolicy() == "Never") {
    result.message += "; its preemptionPolicy is Never";
    return result;
  }

  std::vector<const corev1::Pod*> kept, candidates;
  for (const PreemptionCandidate& other : others) {
    if (other.terminating) continue;
    // Where a set surges the old pod goes when the new one is available, not before.
    const bool is_predecessor = !DaemonSetOf(pod).empty() && DaemonSetOf(*other.pod) == DaemonSetOf(pod);
    const bool may_go = !other.is_static && !is_predecessor && PriorityOf(other.pod->spec()) < PriorityOf(pod.spec());
    (may_go ? candidates : kept).push_back(other.pod);
  }
  if (candidates.empty()) {
    result.message += "; no pod of lower priority makes room";
    return result;
  }
  if (!Admit(pod, node, kept).admitted) {
    result.message += "; it would not fit without all pods of lower priority either";
    return result;
  }
  std::sort(candidates.begin(), candidates.end(), IsMoreImportant);
  std::vector<const corev1::Pod*> victims;
  for (const corev1::Pod* candidate : candidates) {
    kept.push_back(candidate);
    if (Admit(pod, node, kept).admitted) continue;
    kept.pop_back();
    victims.push_back(candidate);
  }
  std::reverse(victims.begin(), victims.end());
  for (const corev1::Pod* victim : victims) result.victims.push_back(victim->metadata().uid());
  result.answer = Preemption::Answer::kPreempt;
  result.message += fmt::format("; priority {} makes room: {}", PriorityOf(pod.spec()), Names(victims));
  return result;
}

}  // namespace daemonsetd::decide
