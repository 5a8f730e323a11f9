#include "agent/decide/mirror_pod.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/decide/canonical.h"
#include "agent/decide/labels.h"

namespace daemonsetd::decide {

bool IsMirrorPod(const corev1::Pod& pod) { return pod.metadata().annotations().contains(kConfigMirrorAnnotation); }

std::string StaticPodHash(const corev1::Pod& static_pod) {
  std::string hash = ValueOf(static_pod.metadata().annotations(), kConfigHashAnnotation);
  if (!hash.empty()) return hash;
  corev1::PodTemplateSpec shown;
  *shown.mutable_metadata()->mutable_labels() = static_pod.metadata().labels();
  *shown.mutable_metadata()->mutable_annotations() = static_pod.metadata().annotations();
  *shown.mutable_spec() = static_pod.spec();
  ClearDefaults(*shown.mutable_spec());
  return fmt::format("{:016x}", Fnv1a64(CanonicalText(shown)));
}

corev1::Pod MakeMirrorPod(const corev1::Pod& static_pod, const std::string& node_name, const std::string& node_uid) {
  corev1::Pod mirror;
  metav1::ObjectMeta& metadata = *mirror.mutable_metadata();
  metadata.set_name(static_pod.metadata().name());
  metadata.set_namespace_(static_pod.metadata().namespace_());
  *metadata.mutable_labels() = static_pod.metadata().labels();
  *metadata.mutable_annotations() = static_pod.metadata().annotations();
  const std::string hash = StaticPodHash(static_pod);
  (*metadata.mutable_annotations())[kConfigHashAnnotation] = hash;
  (*metadata.mutable_annotations())[kConfigMirrorAnnotation] = hash;
  metav1::OwnerReference& owner = *metadata.add_ownerreferences();
  owner.set_apiversion("v1");
  owner.set_kind("Node");
  owner.set_name(node_name);
  owner.set_uid(node_uid);
  owner.set_controller(true);

  *mirror.mutable_spec() = static_pod.spec();
  mirror.mutable_spec()->set_nodename(node_name);
  mirror.mutable_spec()->clear_serviceaccountname();
  mirror.mutable_spec()->clear_serviceaccount();
  mirror.mutable_spec()->clear_overhead();  // the server's admission sets that of the RuntimeClass, and takes no other
  return mirror;
}

bool MirrorIsCurrent(const corev1::Pod& mirror, const corev1::Pod& static_pod, const std::string& node_uid) {
  const auto& owners = mirror.metadata().ownerreferences();
  const bool owned = std::any_of(owners.begin(), owners.end(), [&](const metav1::OwnerReference& owner) {
    return owner.kind() == "Node" && owner.uid() == node_uid;
  });
  return owned && !mirror.metadata().has_deletiontimestamp() &&
         ValueOf(mirror.metadata().annotations(), kConfigMirrorAnnotation) == StaticPodHash(static_pod);
}

}  // namespace daemonsetd::decide
