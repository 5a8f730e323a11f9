#include "cri/runtime_features.h"

#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::cri {

namespace v1 = ::runtime::v1;

namespace {

// "v2.1.4", "1.6.20~ds1" → {2, 1}, {1, 6}; {0, 0} for what is no version.
std::pair<int, int> MajorMinor(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  std::pair<int, int> version{0, 0};
  const char* const end = text.data() + text.size();
  const auto [dot, error] = std::from_chars(text.data(), end, version.first);
  if (error != std::errc() || dot == end || *dot != '.') return {0, 0};
  std::from_chars(dot + 1, end, version.second);
  return version;
}

bool HasImageVolumes(const v1::VersionResponse& version) {
  const std::pair<int, int> number = MajorMinor(version.runtime_version());
  if (version.runtime_name() == "containerd") return number >= std::pair(2, 1);
  if (version.runtime_name() == "cri-o") return number >= std::pair(1, 31);
  return true;  // its own error has to do
}

Status CheckContainer(const corev1::Container& container, const RuntimeFeatures::Handler& handler) {
  for (const corev1::VolumeMount& mount : container.volumemounts()) {
    if (mount.recursivereadonly() == "Enabled" && !handler.recursive_read_only) {
      return Error(ErrorKind::kUnsupported,
                   fmt::format("container {}: volumeMount {}: recursiveReadOnly Enabled: the runtime cannot do it; use "
                               "IfPossible, or containerd 2.0 or later",
                               container.name(), mount.name()));
    }
  }
  return Ok();
}

}  // namespace

RuntimeFeatures::Handler RuntimeFeatures::Find(const std::string& name) const {
  const auto found = handlers.find(name);
  return found == handlers.end() ? Handler() : found->second;
}

RuntimeFeatures ReadFeatures(const v1::StatusResponse& status, const v1::VersionResponse& version) {
  RuntimeFeatures features;
  for (const v1::RuntimeHandler& handler : status.runtime_handlers()) {
    features.handlers[handler.name()] = {.recursive_read_only = handler.features().recursive_read_only_mounts(),
                                         .user_namespaces = handler.features().user_namespaces()};
  }
  features.supplemental_groups_policy = status.features().supplemental_groups_policy();
  features.user_namespaces_on_host_network = status.features().user_namespaces_host_network();
  features.image_volumes = HasImageVolumes(version);
  return features;
}

Status CheckFeatures(const corev1::PodSpec& spec, const std::string& handler, const RuntimeFeatures& features) {
  if (!handler.empty() && !features.handlers.empty() && !features.handlers.contains(handler)) {
    return Error(ErrorKind::kAbsent,
                 fmt::format("RuntimeClass {}: the runtime has no handler {}; configure it there, or change "
                             "runtimeClasses",
                             spec.runtimeclassname(), handler));
  }
  const RuntimeFeatures::Handler known = features.Find(handler);
  if (spec.has_hostusers() && !spec.hostusers()) {
    if (!known.user_namespaces) {
      return Error(
          ErrorKind::kUnsupported,
          "spec.hostUsers: false asks for a user namespace, and the runtime cannot make one for pods; it needs "
          "containerd 2.0 with runc 1.2 or crun. Or remove the field to run the pod in the node's");
    }
    if (spec.hostnetwork() && !features.user_namespaces_on_host_network) {
      return Error(ErrorKind::kUnsupported,
                   "spec.hostUsers: false on the host network: the runtime cannot do both; remove one of them");
    }
  }
  if (spec.securitycontext().supplementalgroupspolicy() == "Strict" && !features.supplemental_groups_policy) {
    return Error(ErrorKind::kUnsupported,
                 "spec.securityContext.supplementalGroupsPolicy: Strict: the runtime would add the groups of the image "
                 "all the same; use Merge, or containerd 2.0 or later");
  }
  for (const corev1::Volume& volume : spec.volumes()) {
    if (volume.volumesource().has_image() && !features.image_volumes) {
      return Error(ErrorKind::kUnsupported,
                   fmt::format("volume {}: the runtime cannot mount images; it needs containerd 2.1 or CRI-O 1.31",
                               volume.name()));
    }
  }
  for (const auto* containers : {&spec.initcontainers(), &spec.containers()}) {
    for (const corev1::Container& container : *containers) {
      if (const Status status = CheckContainer(container, known); !status) return status;
    }
  }
  return Ok();
}

}  // namespace daemonsetd::cri
