// DaemonSet.status: the numbers that kubectl, kube-state-metrics and `rollout status` read (semantics.md section 7).
#pragma once

#include <cstdint>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/daemon_set_pods.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// One node as the counts see it.
struct NodeCount {
  bool should_run = false;
  std::vector<DaemonPod> pods;  // of this DaemonSet; those that no longer take its place need not be left out
};

// The counts over these nodes. `observed_generation` is the caller's: the DaemonSet's own once its pods are being acted
// on, the previous one while what was asked for is not seen yet. What others keep in the status (collisionCount,
// conditions) is taken over from `previous`. Zero is written only where kubectl shows it.
appsv1::DaemonSetStatus ComputeDaemonSetStatus(std::int64_t observed_generation, const std::vector<NodeCount>& nodes,
                                               const appsv1::DaemonSetStatus& previous);

// Whether a write is worth an event to every node that watches: a count differs, or the generation lags.
bool DaemonSetStatusDiffers(const appsv1::DaemonSetStatus& a, const appsv1::DaemonSetStatus& b);

}  // namespace daemonsetd::decide
