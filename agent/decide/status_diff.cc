#include "agent/decide/status_diff.h"

#include "agent/decide/canonical.h"
#include "agent/decide/merge_conditions.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::decide {
std::optional<corev1::PodStatus> PodStatusToWrite(const corev1::Pod& object, const corev1::PodStatus& ours) {
  corev1::PodStatus status = object.status();
  if (!IsTerminal(object)) {
    status.set_phase(ours.phase());
    status.set_reason(ours.reason());
    status.set_message(ours.message());
  }
  MergeConditions(ours, status);
  if (ours.has_starttime()) *status.mutable_starttime() = ours.starttime();
  status.set_hostip(ours.hostip());
  *status.mutable_hostips() = ours.hostips();
  status.set_podip(ours.podip());
  *status.mutable_podips() = ours.podips();
  *status.mutable_initcontainerstatuses() = ours.initcontainerstatuses();
  *status.mutable_containerstatuses() = ours.containerstatuses();
  *status.mutable_ephemeralcontainerstatuses() = ours.ephemeralcontainerstatuses();
  if (!ours.qosclass().empty()) status.set_qosclass(ours.qosclass());
  if (ours.has_observedgeneration()) status.set_observedgeneration(ours.observedgeneration());
  if (CanonicalText(status) == CanonicalText(object.status())) return std::nullopt;
  return status;
}

}  // namespace daemonsetd::decide
