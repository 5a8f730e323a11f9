#include "agent/decide/pod_object.h"

#include <algorithm>

#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"
#include "agent/decide/mirror_pod.h"

namespace daemonsetd::decide {

std::string NameOf(const corev1::Pod& pod) { return pod.metadata().namespace_() + "/" + pod.metadata().name(); }

const metav1::OwnerReference* ControllerOf(const metav1::ObjectMeta& metadata) {
  for (const metav1::OwnerReference& owner : metadata.ownerreferences()) {
    if (owner.controller()) return &owner;
  }
  return nullptr;
}

std::string DaemonSetOf(const corev1::Pod& pod) {
  const metav1::OwnerReference* owner = ControllerOf(pod.metadata());
  return owner != nullptr && owner->kind() == "DaemonSet" ? owner->uid() : std::string();
}

bool IsTerminal(const corev1::Pod& pod) {
  return pod.status().phase() == "Succeeded" || pod.status().phase() == "Failed";
}
bool IsTerminating(const corev1::Pod& pod) { return pod.metadata().has_deletiontimestamp(); }
bool IsLive(const corev1::Pod& pod) { return !IsTerminating(pod) && !IsTerminal(pod); }

bool MadeElsewhere(const corev1::Pod& pod) {
  return !IsMirrorPod(pod) && !pod.metadata().annotations().contains(kSequenceAnnotation);
}

Existing ResolveExisting(const corev1::Pod& existing, const std::string& owner_uid, const std::string& node_name) {
  if (DaemonSetOf(existing) != owner_uid || existing.spec().nodename() != node_name) return Existing::kNextSequence;
  return IsTerminating(existing) ? Existing::kWait : Existing::kAdopt;
}

Seconds RemainingGrace(const corev1::Pod& terminating, WallTime now) {
  const std::int64_t grace = terminating.metadata().deletiongraceperiodseconds();
  const WallTime end = FromApiTime(terminating.metadata().deletiontimestamp());
  const std::int64_t left = std::chrono::ceil<Seconds>(end - now).count();
  return Seconds(std::max<std::int64_t>(1, std::min(left, grace)));
}

}  // namespace daemonsetd::decide
