// Shared by the validation_*.cc files only: field paths, the error list, and the rules that call each other.
// Paths and error types are upstream's, including its oddities ("volumeMounts.mountPropagation" has no index), because
// tools and people compare them with what the API server answers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/kubernetes.h"
#include "agent/model/validation.h"

namespace daemonsetd::model::validation {

// "spec.template.spec" / "containers" [0] / "name".
class Path {
 public:
  explicit Path(std::string text) : text_(std::move(text)) {}
  Path operator/(std::string_view child) const;
  Path operator[](int index) const;
  Path Key(std::string_view key) const;  // "labels[key]"
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class ErrorList {
 public:
  void Required(const Path& path, std::string detail = {});
  void Invalid(const Path& path, std::string_view value, std::string detail);
  void InvalidNumber(const Path& path, std::int64_t value, std::string detail);
  void InvalidBool(const Path& path, bool value, std::string detail);
  void NotSupported(const Path& path, std::string_view value, std::initializer_list<std::string_view> supported);
  void Duplicate(const Path& path, std::string_view value);
  void NotFound(const Path& path, std::string_view value, std::string detail = {});
  void Forbidden(const Path& path, std::string detail);
  void TooLong(const Path& path, std::size_t limit);  // bytes
  void TooMany(const Path& path, std::size_t count, std::size_t limit);

  // Invalid, when there is a reason (see names.h).
  void Check(const Path& path, std::string_view value, std::string reason);
  // NotSupported, unless `value` is one of `supported`.
  void CheckOneOf(const Path& path, std::string_view value, std::initializer_list<std::string_view> supported);
  void CheckNotNegative(const Path& path, std::int64_t value);
  void CheckId(const Path& path, std::int64_t value);  // a user or group: 0-4294967295

  void Append(ErrorList other);
  std::size_t size() const { return errors_.size(); }
  FieldErrors Take() { return std::move(errors_); }

 private:
  void Add(FieldError::Type type, const Path& path, std::string_view value, std::string detail, bool is_text = true);

  FieldErrors errors_;
};

std::string RangeReason(std::int64_t low, std::int64_t high);  // "must be between 1 and 65535, inclusive"

// A protobuf map has no order; errors must have one.
template <class Map>
std::vector<std::string> SortedKeys(const Map& map) {
  std::vector<std::string> keys;
  for (const auto& entry : map) {
    keys.push_back(entry.first);
  }
  std::ranges::sort(keys);
  return keys;
}

using StringMap = google::protobuf::Map<std::string, std::string>;
// "{app=web, tier=node}", to show a set of labels.
std::string TextOf(const StringMap& labels);
using QuantityMap = google::protobuf::Map<std::string, resourcev1::Quantity>;

// What the rules of one container need to know about its pod.
struct PodContext {
  bool is_pod = false;  // false: a pod template, where a few rules are looser or stricter
  std::map<std::string, const corev1::VolumeSource*, std::less<>> volumes;  // the ones without errors
  std::set<std::string, std::less<>> claim_names;
  std::optional<std::int64_t> grace_period;  // seconds
  std::string restart_policy;
  bool host_users = true;
  std::optional<std::string> os;
};

// validation_metadata.cc
void ValidateObjectMeta(const metav1::ObjectMeta& metadata, const Path& path, ErrorList& errors);
void ValidateLabels(const StringMap& labels, const Path& path, ErrorList& errors);
void ValidateAnnotations(const StringMap& annotations, const Path& path, ErrorList& errors);
void ValidateLabelSelector(const metav1::LabelSelector& selector, const Path& path, ErrorList& errors);
void ValidatePodAnnotations(const StringMap& annotations, const corev1::PodSpec& spec, const Path& path,
                            ErrorList& errors);
// Old annotations and new fields for seccomp and AppArmor must say the same.
void ValidateProfilesMatchAnnotations(const StringMap& annotations, const corev1::PodSpec& spec, const Path& path,
                                      ErrorList& errors);

// validation_volumes.cc
// Fills `context.volumes`. `pod_name` is empty for a template.
void ValidateVolumes(const corev1::PodSpec& spec, std::string_view pod_name, const Path& path, PodContext& context,
                     ErrorList& errors);
// No absolute path, no "..".
void CheckRelativePath(const Path& path, std::string_view value, ErrorList& errors);
void CheckNoBacksteps(const Path& path, std::string_view value, ErrorList& errors);
// Relative, and not starting with "..": names that the atomic writer of volumes keeps for itself.
void CheckVolumeFilePath(const Path& path, std::string_view value, ErrorList& errors);
void ValidatePullPolicy(std::string_view policy, const Path& path, ErrorList& errors);

// validation_volume_sources.cc: sources that a storage driver or a cloud provides
void ValidateNetworkSource(const corev1::Volume& volume, std::string_view pod_name, const Path& path,
                           ErrorList& errors);

// validation_env.cc
void ValidateEnv(const corev1::Container& container, const Path& path, ErrorList& errors);
void ValidateEnvFrom(const corev1::Container& container, const Path& path, ErrorList& errors);
void ValidateFileKeyVolumes(const corev1::PodSpec& spec, const Path& path, const PodContext& context,
                            ErrorList& errors);
// `allowed` names the field paths that are values here; subscripts of labels and annotations are always allowed.
void ValidateFieldRef(const corev1::ObjectFieldSelector& selector, std::initializer_list<std::string_view> allowed,
                      const Path& path, ErrorList& errors);
void ValidateResourceFieldRef(const corev1::ResourceFieldSelector& selector, bool needs_container, const Path& path,
                              ErrorList& errors);

// validation_mounts.cc
void ValidateVolumeMounts(const corev1::Container& container, const PodContext& context, const Path& path,
                          ErrorList& errors);
void ValidateVolumeDevices(const corev1::Container& container, const PodContext& context, const Path& path,
                           ErrorList& errors);

// validation_probes.cc
void ValidateLifecycle(const corev1::Lifecycle& lifecycle, const PodContext& context, const Path& path,
                       ErrorList& errors);
void ValidateProbes(const corev1::Container& container, const PodContext& context, const Path& path, ErrorList& errors);

// validation_resources.cc
void ValidateContainerResources(const corev1::ResourceRequirements& resources, const PodContext& context,
                                const Path& path, ErrorList& errors);
void ValidateOverhead(const QuantityMap& overhead, const PodContext& context, const Path& path, ErrorList& errors);
void ValidatePodResources(const corev1::PodSpec& spec, const PodContext& context, const Path& path, ErrorList& errors);

// validation_security.cc
void ValidateSecurityContext(const corev1::SecurityContext& security, const PodContext& context, const Path& path,
                             ErrorList& errors);
void ValidatePodSecurityContext(const corev1::PodSpec& spec, const Path& path, ErrorList& errors);
// Rules across the containers: Windows host processes, user namespaces, what `os` forbids.
void ValidateOsAndHostAccess(const corev1::PodSpec& spec, const Path& path, ErrorList& errors);

// validation_containers.cc
void ValidateAllContainers(const corev1::PodSpec& spec, const PodContext& context, const Path& path, ErrorList& errors);
// The container inside an ephemeral container, which has the same fields but a type of its own.
corev1::Container ToContainer(const corev1::EphemeralContainer& ephemeral);

// validation_scheduling.cc
void ValidateAffinity(const corev1::Affinity& affinity, const Path& path, ErrorList& errors);
void ValidateTolerations(const corev1::PodSpec& spec, const Path& path, ErrorList& errors);
void ValidateTopologySpread(const corev1::PodSpec& spec, const Path& path, ErrorList& errors);

// validation_pod.cc
void ValidatePodSpec(const corev1::PodSpec& spec, std::string_view pod_name, bool is_pod, const Path& path,
                     ErrorList& errors);
void ValidatePodTemplate(const corev1::PodTemplateSpec& pod_template, const Path& path, ErrorList& errors);

// Visits every container with its path: init, regular, ephemeral, as upstream does.
template <class Visitor>
void VisitContainers(const corev1::PodSpec& spec, const Path& path, Visitor visit) {
  for (int i = 0; i < spec.initcontainers_size(); ++i) {
    visit(spec.initcontainers(i), (path / "initContainers")[i]);
  }
  for (int i = 0; i < spec.containers_size(); ++i) {
    visit(spec.containers(i), (path / "containers")[i]);
  }
  for (int i = 0; i < spec.ephemeralcontainers_size(); ++i) {
    visit(ToContainer(spec.ephemeralcontainers(i)), (path / "ephemeralContainers")[i]);
  }
}

}  // namespace daemonsetd::model::validation
