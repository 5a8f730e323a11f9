// The machine goes down: in which order its pods stop, and how long each may take. Pure. The two periods are the
// kubelet's shutdownGracePeriod and shutdownGracePeriodCriticalPods (pkg/kubelet/nodeshutdown).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

struct ShutdownPeriods {
  Nanoseconds total{};     // of all pods; zero: shutdowns are not waited for
  Nanoseconds critical{};  // the part of it that is kept for the critical pods, which stop last
};

// LC-30: what logind lets us have (InhibitDelayMaxSec), both parts in proportion.
ShutdownPeriods WithinDelay(const ShutdownPeriods& wanted, Nanoseconds allowed);

struct ShutdownPod {
  std::string uid;
  std::int32_t priority = 0;
  bool critical = false;
  bool daemon = false;  // of a DaemonSet: ordinary pods may need it to the end, so it stops after them
};
// A static pod without a priority of its own is critical, as one of system-node-critical (LC-32).
ShutdownPod ShutdownPodOf(const corev1::Pod& pod, bool of_manifest, bool of_daemon_set);

// Pods that stop at the same time.
struct ShutdownGroup {
  bool critical = false;
  std::vector<std::string> uids;

  bool operator==(const ShutdownGroup&) const = default;
};
// The least important first: critical pods after all others, daemon pods after ordinary ones, then by priority.
std::vector<ShutdownGroup> ShutdownOrder(std::vector<ShutdownPod> pods);

// When groups[index], which stops now, has to be gone: its equal share of what is left of its part of the periods.
MonoTime GroupDeadline(const std::vector<ShutdownGroup>& groups, std::size_t index, const ShutdownPeriods& periods,
                       MonoTime began, MonoTime now);

}  // namespace daemonsetd::decide
