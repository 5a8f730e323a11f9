#include "agent/decide/start_order.h"

#include <algorithm>
#include <numeric>

#include "agent/decide/api_time.h"
#include "agent/decide/critical_pod.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::decide {

std::vector<StartAnswer> GiveRoom(const corev1::Node& node, const std::vector<const corev1::Pod*>& wishes,
                                  std::vector<PreemptionCandidate> holding) {
  std::vector<std::size_t> order(wishes.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const auto left = PriorityOf(wishes[a]->spec());
    const auto right = PriorityOf(wishes[b]->spec());
    return left != right ? left > right : NameOf(*wishes[a]) < NameOf(*wishes[b]);
  });
  std::vector<StartAnswer> answers(wishes.size());
  for (const std::size_t index : order) {
    std::vector<const corev1::Pod*> others;
    for (const PreemptionCandidate& candidate : holding) others.push_back(candidate.pod);
    StartAnswer& answer = answers[index];
    answer.admission = Admit(*wishes[index], node, others);
    if (!answer.admission.admitted) {
      Preemption room = MakeRoom(*wishes[index], node, holding);
      answer.admission.message = std::move(room.message);
      answer.victims = std::move(room.victims);
      if (room.answer == Preemption::Answer::kHopeless) continue;
    }
    for (PreemptionCandidate& candidate : holding) {
      const auto is_victim = [&](const std::string& uid) { return uid == candidate.pod->metadata().uid(); };
      candidate.terminating |= std::any_of(answer.victims.begin(), answer.victims.end(), is_victim);
    }
    holding.push_back({.pod = wishes[index]});
  }
  return answers;
}

corev1::PodStatus UnschedulableStatus(const corev1::Pod& pod, const std::string& message, WallTime now) {
  corev1::PodStatus status = pod.status();
  status.set_phase("Pending");
  auto& conditions = *status.mutable_conditions();
  auto scheduled = std::find_if(conditions.begin(), conditions.end(),
                                [](const corev1::PodCondition& one) { return one.type() == "PodScheduled"; });
  if (scheduled == conditions.end()) {
    conditions.Add()->set_type("PodScheduled");
    scheduled = std::prev(conditions.end());
  }
  if (scheduled->status() != "False") *scheduled->mutable_lasttransitiontime() = ToApiTime(now);
  scheduled->set_status("False");
  scheduled->set_reason("Unschedulable");
  scheduled->set_message(message);
  return status;
}

}  // namespace daemonsetd::decide
