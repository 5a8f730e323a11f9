// Security contexts of pod and container as one (pkg/securitycontext, pkg/kubelet/kuberuntime/security_context.go).
// Internal to cri/convert*.cc.
#pragma once

#include <optional>

#include "cri/convert.h"

namespace daemonsetd::cri {

// Namespaces are the pod's alone.
::runtime::v1::NamespaceOption ToNamespaceOption(const corev1::PodSpec& spec,
                                                 const std::optional<IdRange>& user_namespace);
::runtime::v1::IDMapping ToIdMapping(const IdRange& range);
::runtime::v1::SELinuxOption ToSelinuxOption(const corev1::SELinuxOptions& options);
// fsGroup, supplementalGroups and their policy; for both kinds of security context.
template <class CriSecurityContext>
void SetGroups(const corev1::PodSecurityContext& from, CriSecurityContext& to) {
  if (from.has_fsgroup()) to.add_supplemental_groups(from.fsgroup());
  for (const std::int64_t group : from.supplementalgroups()) to.add_supplemental_groups(group);
  if (from.supplementalgroupspolicy() == "Strict") {
    to.set_supplemental_groups_policy(::runtime::v1::SupplementalGroupsPolicy::Strict);
  }
}

// The container's value, else the pod's.
std::optional<std::int64_t> EffectiveRunAsUser(const corev1::PodSpec& spec, const corev1::Container& container);
std::optional<std::int64_t> EffectiveRunAsGroup(const corev1::PodSpec& spec, const corev1::Container& container);
bool EffectiveRunAsNonRoot(const corev1::PodSpec& spec, const corev1::Container& container);

::runtime::v1::LinuxContainerSecurityContext ToContainerSecurityContext(const corev1::Pod& pod,
                                                                        const corev1::Container& container,
                                                                        const ContainerInputs& inputs);

}  // namespace daemonsetd::cri
