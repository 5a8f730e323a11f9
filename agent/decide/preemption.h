// Which less important pods have to go so that a pod fits on this node. A scheduler would decide this; here the node
// does. The choice is the scheduler's (all less important pods go in thought, then come back, the most important first,
// as long as the pod still fits), and it agrees with what a kubelet does for a critical pod: never a pod of equal or
// higher priority, never a static pod; among equals first those that asked for no resources. Pure.
//
// PodDisruptionBudgets are not consulted: they bound evictions through the API server, which a node must be able to do
// without; a kubelet that makes room for a critical pod does not ask them either, and a DaemonSet's own budget
// (maxUnavailable) is about rollouts.
#pragma once

#include <string>
#include <vector>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

struct PreemptionCandidate {
  const corev1::Pod* pod = nullptr;  // not terminal
  bool is_static = false;            // from a manifest of this node: never a victim
  bool terminating = false;          // its room will be free without our doing
};

struct Preemption {
  enum class Answer {
    kFits,      // there is room already
    kWait,      // there will be, once pods that are terminating are gone
    kPreempt,   // `victims` have to go
    kHopeless,  // no pod of lower priority makes enough room
  };
  Answer answer = Answer::kHopeless;
  std::vector<std::string> victims;  // UIDs, the least important first
  std::string message;               // what is missing and what is done about it; empty when it fits
};

// `others`: the non-terminal pods that hold resources here, without `pod` itself and without the predecessor that it
// replaces (as decide::Admit has them).
Preemption MakeRoom(const corev1::Pod& pod, const corev1::Node& node, const std::vector<PreemptionCandidate>& others);

}  // namespace daemonsetd::decide
