#include "agent/decide/daemonset_status.h"

#include <algorithm>

namespace daemonsetd::decide {

appsv1::DaemonSetStatus ComputeDaemonSetStatus(std::int64_t observed_generation, const std::vector<NodeCount>& nodes,
                                               const appsv1::DaemonSetStatus& previous) {
  std::int32_t desired = 0, current = 0, misscheduled = 0, ready = 0, available = 0, updated = 0;
  for (const NodeCount& node : nodes) {
    const DaemonPod* oldest = nullptr;
    for (const DaemonPod& pod : node.pods) {
      if (TakesPlace(pod) && (oldest == nullptr || IsOlder(pod, *oldest))) oldest = &pod;
    }
    if (!node.should_run) {
      if (oldest != nullptr) ++misscheduled;
      continue;
    }
    ++desired;
    if (oldest == nullptr) continue;
    ++current;
    if (oldest->ready) ++ready;
    if (oldest->ready && oldest->available) ++available;
    if (oldest->updated) ++updated;
  }

  appsv1::DaemonSetStatus status = previous;
  status.set_desirednumberscheduled(desired);
  status.set_currentnumberscheduled(current);
  status.set_numbermisscheduled(misscheduled);
  status.set_numberready(ready);
  status.clear_numberavailable();
  status.clear_numberunavailable();
  status.clear_updatednumberscheduled();
  status.clear_observedgeneration();
  if (available > 0) status.set_numberavailable(available);
  if (desired > available) status.set_numberunavailable(desired - available);
  if (updated > 0) status.set_updatednumberscheduled(updated);
  if (observed_generation != 0) status.set_observedgeneration(observed_generation);
  return status;
}

bool DaemonSetStatusDiffers(const appsv1::DaemonSetStatus& a, const appsv1::DaemonSetStatus& b) {
  return a.desirednumberscheduled() != b.desirednumberscheduled() ||
         a.currentnumberscheduled() != b.currentnumberscheduled() || a.numbermisscheduled() != b.numbermisscheduled() ||
         a.numberready() != b.numberready() || a.numberavailable() != b.numberavailable() ||
         a.numberunavailable() != b.numberunavailable() || a.updatednumberscheduled() != b.updatednumberscheduled() ||
         a.observedgeneration() != b.observedgeneration();
}

}  // namespace daemonsetd::decide
