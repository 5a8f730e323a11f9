#include "agent/decide/status_diff.h"

#include <algorithm>

#include "agent/decide/canonical.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::decide {
namespace {

void MergeConditions(const corev1::PodStatus& ours, corev1::PodStatus& status) {
  for (const corev1::PodCondition& condition : ours.conditions()) {
    const auto old = std::find_if(status.mutable_conditions()->begin(), status.mutable_conditions()->end(),
                                  [&](const auto& other) { return other.type() == condition.type(); });
    (old != status.mutable_conditions()->end() ? *old : *status.add_conditions()) = condition;
  }
}

}  // namespace

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
  if (CanonicalText(status) == CanonicalText(object.status())) return std::nullopt;
  return status;
}

}  // namespace daemonsetd::decide
