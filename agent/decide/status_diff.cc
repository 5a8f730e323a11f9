#include "agent/decide/status_diff.h"

#include "agent/decide/canonical.h"
#include "agent/decide/conditions.h"
#include "agent/decide/pod_object.h"
#include "agent/model/message_bytes.h"

namespace daemonsetd::decide {
namespace {

using ContainerStatuses = google::protobuf::RepeatedPtrField<corev1::ContainerStatus>;

void ForgetMissing(const ContainerStatuses& kept, ContainerStatuses& statuses) {
  for (corev1::ContainerStatus& status : statuses) {
    for (const corev1::ContainerStatus& known : kept) {
      if (known.name() != status.name()) continue;
      if (known.allocatedresources().empty()) status.clear_allocatedresources();
      if (!known.has_resources()) status.clear_resources();
      if (!known.has_user()) status.clear_user();
      if (known.volumemounts().empty()) status.clear_volumemounts();
    }
  }
}

// Fields that an older API server does not keep. None of them comes alone, so that they are missing in what it has is
// no reason to write: it would be one for ever.
void ForgetMissing(const corev1::PodStatus& kept, corev1::PodStatus& status) {
  if (kept.allocatedresources().empty()) status.clear_allocatedresources();
  if (!kept.has_resources()) status.clear_resources();
  if (!kept.has_observedgeneration()) {
    status.clear_observedgeneration();
    for (corev1::PodCondition& condition : *status.mutable_conditions()) condition.clear_observedgeneration();
  }
  ForgetMissing(kept.initcontainerstatuses(), *status.mutable_initcontainerstatuses());
  ForgetMissing(kept.containerstatuses(), *status.mutable_containerstatuses());
  ForgetMissing(kept.ephemeralcontainerstatuses(), *status.mutable_ephemeralcontainerstatuses());
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
  *status.mutable_allocatedresources() = ours.allocatedresources();
  if (ours.has_resources()) *status.mutable_resources() = ours.resources();
  if (!ours.qosclass().empty()) status.set_qosclass(ours.qosclass());
  if (ours.has_observedgeneration()) status.set_observedgeneration(ours.observedgeneration());
  // Most often nothing has changed, and this tells it in a hundredth of the time that the canonical form takes.
  if (model::DeterministicBytes(status) == model::DeterministicBytes(object.status())) return std::nullopt;
  corev1::PodStatus compared = status;
  ForgetMissing(object.status(), compared);
  if (CanonicalText(compared) == CanonicalText(object.status())) return std::nullopt;
  return status;
}

}  // namespace daemonsetd::decide
