#include "agent/decide/local_pod.h"

#include <algorithm>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::decide {
namespace {

constexpr Seconds kDefaultGrace{30};

bool SameContainers(const google::protobuf::RepeatedPtrField<corev1::Container>& a,
                    const google::protobuf::RepeatedPtrField<corev1::Container>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& left, const auto& right) {
    return left.name() == right.name() && ContainerSpecHash(left) == ContainerSpecHash(right);
  });
}

}  // namespace

Seconds GraceOf(const LocalPod& local) {
  if (local.pod == nullptr || !local.pod->spec().has_terminationgraceperiodseconds()) return kDefaultGrace;
  return Seconds(std::max<std::int64_t>(local.pod->spec().terminationgraceperiodseconds(), 1));
}

bool SamePod(const LocalPod& local, const corev1::Pod& object) {
  if (!local.template_hash.empty() && ValueOf(object.metadata().labels(), kRevisionHashLabel) == local.template_hash) {
    return true;
  }
  if (local.pod == nullptr) return local.template_hash.empty();  // not known: adopt, never restart (LC-22)
  const corev1::PodSpec& ours = local.pod->spec();
  const corev1::PodSpec& theirs = object.spec();
  return ours.hostnetwork() == theirs.hostnetwork() && ours.hostpid() == theirs.hostpid() &&
         ours.hostipc() == theirs.hostipc() && SameContainers(ours.initcontainers(), theirs.initcontainers()) &&
         SameContainers(ours.containers(), theirs.containers());
}

bool IsMislabelled(const LocalPod& local, const corev1::Pod& object, const corev1::PodTemplateSpec& present,
                   const std::string& present_hash) {
  if (!local.has_worker || local.template_hash.empty() || local.template_hash == present_hash) return false;
  if (MadeElsewhere(object) || ValueOf(object.metadata().labels(), kRevisionHashLabel) != present_hash) return false;
  const corev1::PodSpec& runs = local.pod->spec();
  return !SameContainers(runs.initcontainers(), present.spec().initcontainers()) ||
         !SameContainers(runs.containers(), present.spec().containers());
}

}  // namespace daemonsetd::decide
