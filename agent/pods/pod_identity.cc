#include "agent/pods/pod_identity.h"

#include <charconv>
#include <set>

#include "agent/decide/labels.h"

namespace daemonsetd::pods {
namespace {

using StringMap = google::protobuf::Map<std::string, std::string>;

template <class Number>
std::optional<Number> ToNumber(const std::string& text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

void WriteIdentity(const PodIdentity& identity, ::runtime::v1::PodSandboxConfig& config) {
  StringMap& annotations = *config.mutable_annotations();
  annotations[decide::kOwnerKindAnnotation] = identity.owner_kind;
  annotations[decide::kOwnerNameAnnotation] = identity.owner_name;
  annotations[decide::kOwnerUidAnnotation] = identity.owner_uid;
  annotations[decide::kTemplateHashAnnotation] = identity.template_hash;
  if (!identity.restart_hash.empty()) annotations[decide::kRestartHashAnnotation] = identity.restart_hash;
  annotations[decide::kSpecHashVersionAnnotation] = std::to_string(identity.hash_version);
  annotations[decide::kSequenceAnnotation] = std::to_string(identity.sequence);
  if (identity.from_api_server) annotations[decide::kPodSourceAnnotation] = decide::kApiServerSource;
}

std::optional<PodIdentity> ReadIdentity(const decide::ObservedPod& observed) {
  const auto* sandbox = observed.newest_sandbox();
  if (!sandbox) return std::nullopt;
  const StringMap& annotations = sandbox->annotations();
  PodIdentity identity{.owner_kind = decide::ValueOf(annotations, decide::kOwnerKindAnnotation),
                       .owner_name = decide::ValueOf(annotations, decide::kOwnerNameAnnotation),
                       .owner_uid = decide::ValueOf(annotations, decide::kOwnerUidAnnotation),
                       .template_hash = decide::ValueOf(annotations, decide::kTemplateHashAnnotation),
                       .restart_hash = decide::ValueOf(annotations, decide::kRestartHashAnnotation)};
  const auto version = ToNumber<int>(decide::ValueOf(annotations, decide::kSpecHashVersionAnnotation));
  const auto sequence = ToNumber<std::uint32_t>(decide::ValueOf(annotations, decide::kSequenceAnnotation));
  if (identity.owner_uid.empty() || !version || !sequence) return std::nullopt;
  identity.hash_version = *version;
  identity.sequence = *sequence;
  identity.from_api_server = decide::ValueOf(annotations, decide::kPodSourceAnnotation) == decide::kApiServerSource;
  return identity;
}

corev1::Pod PodFromRuntime(const decide::ObservedPod& observed) {
  corev1::Pod pod;
  pod.mutable_spec()->set_terminationgraceperiodseconds(30);
  if (const auto* sandbox = observed.newest_sandbox()) {
    pod.mutable_metadata()->set_name(sandbox->metadata().name());
    pod.mutable_metadata()->set_namespace_(sandbox->metadata().namespace_());
    pod.mutable_metadata()->set_uid(sandbox->metadata().uid());
  }
  std::set<std::string> names;
  for (const decide::ObservedContainer& container : observed.containers) {
    const StringMap& labels = container.status.labels();
    if (!pod.metadata().has_uid()) {
      pod.mutable_metadata()->set_name(decide::ValueOf(labels, decide::kPodNameLabel));
      pod.mutable_metadata()->set_namespace_(decide::ValueOf(labels, decide::kPodNamespaceLabel));
      pod.mutable_metadata()->set_uid(decide::ValueOf(labels, decide::kPodUidLabel));
    }
    if (const auto grace =
            ToNumber<std::int64_t>(decide::ValueOf(container.status.annotations(), decide::kGracePeriodAnnotation))) {
      pod.mutable_spec()->set_terminationgraceperiodseconds(*grace);
    }
    if (names.insert(container.status.metadata().name()).second) {
      corev1::Container* spec = pod.mutable_spec()->add_containers();
      spec->set_name(container.status.metadata().name());
      spec->set_image(container.status.image().image());
    }
  }
  return pod;
}

}  // namespace daemonsetd::pods
