// The taints that follow from the Node's conditions, as the node lifecycle controller keeps them: not-ready,
// memory-pressure, disk-pressure, pid-pressure, network-unavailable, unschedulable. Where that controller runs it is
// left to it; where nobody reacts, the node keeps its own taints (nobody else would take away the not-ready taint that
// the API server gives each new Node). Pure.
#pragma once

#include <optional>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// How long the controller may take before its work counts as not done.
inline constexpr Nanoseconds kTaintPatience = std::chrono::seconds(5);

struct TaintMemory {
  std::optional<MonoTime> differs_since;
};

struct TaintDecision {
  std::optional<std::vector<corev1::Taint>> taints;  // the whole new list; unset: nothing to write
  std::optional<MonoTime> look_again;
};

// `node` as the API server has it, conditions included. Taints of other keys, and their order, stay as they are.
TaintDecision DecideTaints(const corev1::Node& node, Now now, TaintMemory& memory);

// The list as it should be: the pure rule beneath. The effect NoExecute goes with a node that is not ready, never with
// one that is unreachable: whoever asks is alive.
std::vector<corev1::Taint> TaintsOf(const corev1::Node& node, WallTime now);

}  // namespace daemonsetd::decide
