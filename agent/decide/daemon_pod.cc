#include "agent/decide/daemon_pod.h"

#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/decide/canonical.h"
#include "agent/decide/labels.h"
#include "agent/decide/placement.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/resources.h"

namespace daemonsetd::decide {
namespace {

constexpr int kTemplateHashLength = 10;
constexpr int kNameSuffixLength = 5;
// apiserver/pkg/storage/names: a generated name fits a DNS label, whatever its prefix.
constexpr std::size_t kMaxNameLength = 63;

constexpr char kTemplateGenerationAnnotation[] = "deprecated.daemonset.template.generation";
constexpr char kTemplateGenerationLabel[] = "pod-template-generation";
constexpr char kNodeNameField[] = "metadata.name";

// What the name and the UID are derived from. Zero bytes separate: none of the parts can hold one.
std::string Identity(std::string_view purpose, const appsv1::DaemonSet& daemon_set, const std::string& node_name,
                     std::uint32_t sequence) {
  std::string identity(purpose);
  for (const std::string& part : {daemon_set.metadata().uid(), node_name, fmt::to_string(sequence)}) {
    identity.push_back('\0');
    identity += part;
  }
  return identity;
}

std::optional<std::int64_t> TemplateGeneration(const appsv1::DaemonSet& daemon_set) {
  const auto annotation = daemon_set.metadata().annotations().find(kTemplateGenerationAnnotation);
  if (annotation == daemon_set.metadata().annotations().end()) return std::nullopt;
  const std::string& text = annotation->second;
  std::int64_t generation = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), generation);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return generation;
}

void PinToNode(const std::string& node_name, corev1::PodSpec& spec) {
  corev1::NodeSelector required;
  corev1::NodeSelectorRequirement& requirement = *required.add_nodeselectorterms()->add_matchfields();
  requirement.set_key(kNodeNameField);
  requirement.set_operator_("In");
  requirement.add_values(node_name);
  *spec.mutable_affinity()->mutable_nodeaffinity()->mutable_requiredduringschedulingignoredduringexecution() = required;
  spec.set_nodename(node_name);
}

}  // namespace

std::string TemplateHash(const corev1::PodTemplateSpec& pod_template) {
  corev1::PodTemplateSpec bare = pod_template;
  if (bare.has_spec()) ClearDefaults(*bare.mutable_spec());
  return SafeSuffix(CanonicalText(bare), kTemplateHashLength);
}

std::string RestartHash(const corev1::PodTemplateSpec& pod_template) {
  corev1::PodTemplateSpec bare = pod_template;
  const auto forget = [](corev1::Container& container) {
    for (const char* name : {"cpu", "memory"}) {
      container.mutable_resources()->mutable_requests()->erase(name);
      container.mutable_resources()->mutable_limits()->erase(name);
    }
  };
  for (corev1::Container& container : *bare.mutable_spec()->mutable_containers()) forget(container);
  for (corev1::Container& container : *bare.mutable_spec()->mutable_initcontainers()) {
    if (IsSidecar(container)) forget(container);
  }
  ClearDefaults(*bare.mutable_spec());
  const std::string qos(ToString(ComputeQos(pod_template.spec())));
  return SafeSuffix(qos + CanonicalText(bare), kTemplateHashLength);
}

std::string ContainerSpecHash(const corev1::Container& container) {
  corev1::Container covered;
  covered.set_name(container.name());
  covered.set_image(container.image());
  *covered.mutable_command() = container.command();
  *covered.mutable_args() = container.args();
  covered.set_workingdir(container.workingdir());
  *covered.mutable_env() = container.env();
  *covered.mutable_envfrom() = container.envfrom();
  *covered.mutable_volumemounts() = container.volumemounts();
  *covered.mutable_volumedevices() = container.volumedevices();
  *covered.mutable_resources() = container.resources();
  *covered.mutable_securitycontext() = container.securitycontext();
  covered.set_terminationmessagepath(container.terminationmessagepath());
  covered.set_stdin(container.stdin());
  covered.set_stdinonce(container.stdinonce());
  covered.set_tty(container.tty());
  covered.mutable_lifecycle()->set_stopsignal(container.lifecycle().stopsignal());
  ClearDefaults(covered);
  return fmt::format("{:016x}", Fnv1a64(CanonicalText(covered)));
}

std::string DaemonPodName(const appsv1::DaemonSet& daemon_set, const std::string& node_name, std::uint32_t sequence) {
  std::string name = daemon_set.metadata().name() + "-";
  if (name.size() > kMaxNameLength - kNameSuffixLength) name.resize(kMaxNameLength - kNameSuffixLength);
  return name + SafeSuffix(Identity("name", daemon_set, node_name, sequence), kNameSuffixLength);
}

metav1::OwnerReference OwnerReferenceTo(const appsv1::DaemonSet& daemon_set) {
  metav1::OwnerReference owner;
  owner.set_apiversion("apps/v1");
  owner.set_kind("DaemonSet");
  owner.set_name(daemon_set.metadata().name());
  owner.set_uid(daemon_set.metadata().uid());
  owner.set_controller(true);
  owner.set_blockownerdeletion(true);
  return owner;
}

corev1::Pod MakeDaemonPod(const appsv1::DaemonSet& daemon_set, const std::string& node_name, std::uint32_t sequence) {
  const corev1::PodTemplateSpec& pod_template = daemon_set.spec().template_();
  corev1::Pod pod;

  metav1::ObjectMeta& metadata = *pod.mutable_metadata();
  metadata.set_name(DaemonPodName(daemon_set, node_name, sequence));
  metadata.set_generatename(daemon_set.metadata().name() + "-");
  metadata.set_namespace_(daemon_set.metadata().namespace_());
  metadata.set_uid(DerivedUid(Identity("uid", daemon_set, node_name, sequence)));
  *metadata.mutable_labels() = pod_template.metadata().labels();
  (*metadata.mutable_labels())[kRevisionHashLabel] = TemplateHash(pod_template);
  if (const auto generation = TemplateGeneration(daemon_set)) {
    (*metadata.mutable_labels())[kTemplateGenerationLabel] = fmt::to_string(*generation);
  }
  *metadata.mutable_annotations() = pod_template.metadata().annotations();
  *metadata.mutable_finalizers() = pod_template.metadata().finalizers();

  *metadata.add_ownerreferences() = OwnerReferenceTo(daemon_set);

  *pod.mutable_spec() = pod_template.spec();
  AddDaemonTolerations(*pod.mutable_spec());
  PinToNode(node_name, *pod.mutable_spec());
  return pod;
}

}  // namespace daemonsetd::decide
