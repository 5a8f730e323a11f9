// Which of the pods that could start now have room, the most important first: what a scheduler would decide. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/decide/admission.h"
#include "agent/decide/preemption.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

struct StartAnswer {
  Admission admission;               // with the message that says what is missing, and what is done about it
  std::vector<std::string> victims;  // UIDs of pods that have to go first
};

// One answer for each wish, in the order of the wishes. `holding`: the pods that have room already. A more important
// pod that waits for others to go keeps what will be free (a scheduler's "nominated" pod).
std::vector<StartAnswer> GiveRoom(const corev1::Node& node, const std::vector<const corev1::Pod*>& wishes,
                                  std::vector<PreemptionCandidate> holding);

// For a pod that waits for room, the status that a scheduler would give it: PodScheduled is False, Unschedulable.
corev1::PodStatus UnschedulableStatus(const corev1::Pod& pod, const std::string& message, WallTime now);

}  // namespace daemonsetd::decide
