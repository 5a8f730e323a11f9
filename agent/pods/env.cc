#include "agent/pods/env.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/base/utf8.h"
#include "agent/decide/env.h"
#include "agent/decide/labels.h"
#include "agent/model/names.h"
#include "agent/model/quantity.h"
#include "agent/pods/service_links.h"

namespace daemonsetd::pods {
namespace {

using Values = std::map<std::string, std::string, std::less<>>;

// "metadata.labels['app']" → ("metadata.labels", "app").
std::optional<std::pair<std::string, std::string>> SplitSubscript(const std::string& path) {
  constexpr std::string_view kClose = "']";
  const std::size_t open = path.find("['");
  if (open == std::string::npos || path.size() < open + 4 || !path.ends_with(kClose)) return std::nullopt;
  return std::pair(path.substr(0, open), path.substr(open + 2, path.size() - open - 4));
}

Result<std::string> FirstAddress(const std::vector<std::string>& addresses, std::string_view what) {
  if (addresses.empty()) return Error(ErrorKind::kRetry, fmt::format("{} is not known yet", what));
  return addresses.front();
}

std::int64_t CeilDivide(std::int64_t value, std::int64_t divisor) {
  return value / divisor + (value % divisor > 0 ? 1 : 0);
}

// The pod's limit when the container has none, else the node's allocatable (limits only).
std::optional<model::Quantity> ResourceAmount(const corev1::Pod& pod, const corev1::Container& container, bool limit,
                                              const std::string& name, const PodFacts& facts) {
  const auto find = [&name](const auto& map) -> std::optional<model::Quantity> {
    const auto found = map.find(name);
    if (found == map.end()) return std::nullopt;
    return model::Quantity::From(found->second);
  };
  const corev1::ResourceRequirements& own = container.resources();
  if (!limit) {
    if (const auto request = find(own.requests())) return request;
    return find(own.limits());  // as API defaulting does it
  }
  const auto own_limit = find(own.limits());
  if (own_limit && !own_limit->IsZero()) return own_limit;
  if (const auto pod_limit = find(pod.spec().resources().limits())) return pod_limit;
  if (name == "cpu" || name == "memory" || name == "ephemeral-storage") {
    const auto found = facts.node_allocatable.find(name);
    if (found != facts.node_allocatable.end()) return found->second;
  }
  return own_limit;
}

// The runtime takes text only.
Result<std::string> AsText(const std::string& value, std::string_view kind, const std::string& object,
                           const std::string& key) {
  if (value.find('\0') != std::string::npos || ValidUtf8(value) != value) {
    return Error(ErrorKind::kInvalid, fmt::format("key {} of {} {} is not UTF-8 text, and a variable can hold nothing "
                                                  "else; mount it as a volume",
                                                  key, kind, object));
  }
  return value;
}

// The value of a key; unset: optional and not there.
template <class Object, class Selector>
Result<std::optional<std::string>> KeyValue(const Result<const Object*>& found, const Selector& selector,
                                            std::string_view kind, const std::string& name_space) {
  if (!found) {
    if (selector.optional() && found.error().kind() == ErrorKind::kAbsent) return std::optional<std::string>();
    return found.error();
  }
  const std::string& name = selector.localobjectreference().name();
  const auto value = (*found)->data().find(selector.key());
  if (value == (*found)->data().end()) {
    if (selector.optional()) return std::optional<std::string>();
    return Error(ErrorKind::kAbsent,
                 fmt::format("couldn't find key {} in {} {}/{}", selector.key(), kind, name_space, name));
  }
  Result<std::string> text = AsText(value->second, kind, name, selector.key());
  if (!text) return text.error();
  return std::optional<std::string>(std::move(*text));
}

// Unset: an optional source that is not there.
Result<std::optional<std::string>> SourceValue(const corev1::Pod& pod, const corev1::Container& container,
                                               const corev1::EnvVarSource& source, const PodFacts& facts,
                                               const NamedObjects& objects) {
  if (source.has_fieldref()) {
    Result<std::string> value = FieldValue(pod, source.fieldref().fieldpath(), facts);
    if (!value) return value.error();
    return std::optional<std::string>(*value);
  }
  if (source.has_resourcefieldref()) {
    Result<std::string> value = ResourceValue(pod, container, source.resourcefieldref(), facts);
    if (!value) return value.error();
    return std::optional<std::string>(*value);
  }
  if (source.has_configmapkeyref()) {
    const corev1::ConfigMapKeySelector& selector = source.configmapkeyref();
    return KeyValue(FindConfigMap(objects, selector.localobjectreference().name()), selector, "ConfigMap",
                    pod.metadata().namespace_());
  }
  if (source.has_secretkeyref()) {
    const corev1::SecretKeySelector& selector = source.secretkeyref();
    return KeyValue(FindSecret(objects, selector.localobjectreference().name()), selector, "Secret",
                    pod.metadata().namespace_());
  }
  if (source.has_filekeyref()) return Error(ErrorKind::kUnsupported, "fileKeyRef is not supported yet");
  return Error(ErrorKind::kInvalid, "valueFrom names no source");
}

// The variables of a process while it is put together.
class Environment {
 public:
  // Keeps the place of an earlier one of that name.
  void Set(const std::string& name, const std::string& value) {
    const auto [entry, is_new] = values_.insert_or_assign(name, value);
    if (is_new) {
      places_[name] = envs_.size();
      envs_.push_back({name, value});
    } else {
      envs_[places_[name]].value = value;
    }
  }
  bool Has(const std::string& name) const { return values_.contains(name); }
  const Values& values() const { return values_; }
  std::vector<EnvVariable> Take() { return std::move(envs_); }

 private:
  Values values_;
  std::map<std::string, std::size_t> places_;
  std::vector<EnvVariable> envs_;
};

// `kind` as the kubelet's Event spells it; `reference` is the configMapRef or secretRef.
template <class Object, class Reference>
Status AddEvery(const Result<const Object*>& found, const Reference& reference, std::string_view kind,
                const corev1::Pod& pod, const std::string& prefix, Environment& environment,
                std::vector<std::string>& skipped) {
  if (!found) {
    if (reference.optional() && found.error().kind() == ErrorKind::kAbsent) return Ok();
    return found.error();
  }
  const std::string& object = reference.localobjectreference().name();
  std::vector<std::string> invalid;
  const std::map<std::string, std::string> sorted((*found)->data().begin(), (*found)->data().end());
  for (const auto& [key, value] : sorted) {
    const std::string name = prefix + key;
    if (!model::CheckEnvVarName(name).empty()) {
      invalid.push_back(name);
      continue;
    }
    const Result<std::string> text = AsText(value, kind, object, key);
    if (!text) return text.error();
    environment.Set(name, *text);
  }
  if (!invalid.empty()) {
    skipped.push_back(
        fmt::format("Keys [{}] from the EnvFrom {} {}/{} were skipped since they are considered invalid "
                    "environment variable names.",
                    fmt::join(invalid, ", "), kind, pod.metadata().namespace_(), object));
  }
  return Ok();
}

Status AddEnvFrom(const corev1::Pod& pod, const corev1::Container& container, const NamedObjects& objects,
                  Environment& environment, std::vector<std::string>& skipped) {
  for (const corev1::EnvFromSource& source : container.envfrom()) {
    if (source.has_configmapref()) {
      const auto found = FindConfigMap(objects, source.configmapref().localobjectreference().name());
      DAEMONSETD_RETURN_IF_ERROR(
          AddEvery(found, source.configmapref(), "configMap", pod, source.prefix(), environment, skipped));
    }
    if (source.has_secretref()) {
      const auto found = FindSecret(objects, source.secretref().localobjectreference().name());
      DAEMONSETD_RETURN_IF_ERROR(
          AddEvery(found, source.secretref(), "secret", pod, source.prefix(), environment, skipped));
    }
  }
  return Ok();
}

}  // namespace

Result<std::string> FieldValue(const corev1::Pod& pod, const std::string& field_path, const PodFacts& facts) {
  const metav1::ObjectMeta& metadata = pod.metadata();
  if (const auto subscript = SplitSubscript(field_path)) {
    if (subscript->first == "metadata.labels") return decide::ValueOf(metadata.labels(), subscript->second);
    if (subscript->first == "metadata.annotations") return decide::ValueOf(metadata.annotations(), subscript->second);
    return Error(ErrorKind::kInvalid, fmt::format("fieldPath {}: only metadata.labels and metadata.annotations "
                                                  "take a key in brackets",
                                                  field_path));
  }
  if (field_path == "metadata.name") return metadata.name();
  if (field_path == "metadata.namespace") return metadata.namespace_();
  if (field_path == "metadata.uid") return metadata.uid();
  if (field_path == "spec.nodeName") return pod.spec().nodename();
  if (field_path == "spec.serviceAccountName") return pod.spec().serviceaccountname();
  if (field_path == "status.hostIP") return FirstAddress(facts.host_ips, "the node's address");
  if (field_path == "status.hostIPs") {
    const Result<std::string> first = FirstAddress(facts.host_ips, "the node's address");
    if (!first) return first;
    return fmt::format("{}", fmt::join(facts.host_ips, ","));
  }
  if (field_path == "status.podIP" || field_path == "status.podIPs") {
    const bool use_host = facts.pod_ips.empty() && pod.spec().hostnetwork();
    const std::vector<std::string>& addresses = use_host ? facts.host_ips : facts.pod_ips;
    const Result<std::string> first = FirstAddress(addresses, "the pod's address");
    if (!first || field_path == "status.podIP") return first;
    return fmt::format("{}", fmt::join(addresses, ","));
  }
  return Error(ErrorKind::kInvalid, fmt::format("fieldPath {} is not a field that env can take", field_path));
}

Result<std::string> ResourceValue(const corev1::Pod& pod, const corev1::Container& container,
                                  const corev1::ResourceFieldSelector& selector, const PodFacts& facts) {
  const corev1::Container* from = &container;
  if (!selector.containername().empty() && selector.containername() != container.name()) {
    from = nullptr;
    for (const auto* list : {&pod.spec().containers(), &pod.spec().initcontainers()}) {
      for (const corev1::Container& candidate : *list) {
        if (candidate.name() == selector.containername()) from = &candidate;
      }
    }
    if (from == nullptr) {
      return Error(ErrorKind::kInvalid,
                   fmt::format("resourceFieldRef: the pod has no container {}", selector.containername()));
    }
  }
  const std::string& resource = selector.resource();
  const bool limit = resource.starts_with("limits.");
  if (!limit && !resource.starts_with("requests.")) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("resourceFieldRef: resource {} must begin with limits. or requests.", resource));
  }
  const std::string name = resource.substr(resource.find('.') + 1);
  if (name != "cpu" && name != "memory" && name != "ephemeral-storage" && !name.starts_with("hugepages-")) {
    return Error(ErrorKind::kInvalid, fmt::format("resourceFieldRef: resource {} is not one that env can take; cpu, "
                                                  "memory, ephemeral-storage and hugepages-* are",
                                                  resource));
  }
  const model::Quantity amount = ResourceAmount(pod, *from, limit, name, facts).value_or(model::Quantity());
  model::Quantity divisor = model::Quantity::From(selector.divisor());
  if (divisor.Sign() <= 0) divisor = model::Quantity::FromMilli(1000);
  if (name == "cpu") {
    return fmt::to_string(CeilDivide(amount.MilliValue(), std::max<std::int64_t>(divisor.MilliValue(), 1)));
  }
  return fmt::to_string(CeilDivide(amount.Value(), std::max<std::int64_t>(divisor.Value(), 1)));
}

Result<ProcessSpec> MakeProcess(const corev1::Pod& pod, const corev1::Container& container, const PodFacts& facts,
                                const EnvSources& sources) {
  const std::string context = fmt::format("container {}", container.name());
  ProcessSpec process;
  Environment environment;
  if (const Status status = AddEnvFrom(pod, container, sources.objects, environment, process.skipped); !status) {
    return status.error().WithContext(context + ": envFrom");
  }

  const std::map<std::string, std::string> services = ServiceVariables(sources.services);
  const auto expand = [&](const std::string& text) {
    return decide::Expand(text, [&](std::string_view name) -> std::optional<std::string> {
      if (const auto found = environment.values().find(name); found != environment.values().end()) return found->second;
      const auto service = services.find(std::string(name));
      if (service == services.end()) return std::nullopt;
      return service->second;
    });
  };
  for (const corev1::EnvVar& variable : container.env()) {
    std::string value;
    if (!variable.value().empty()) {
      value = expand(variable.value());
    } else if (variable.has_valuefrom()) {
      Result<std::optional<std::string>> source =
          SourceValue(pod, container, variable.valuefrom(), facts, sources.objects);
      if (!source) return source.error().WithContext(fmt::format("{}: env {}", context, variable.name()));
      if (!source->has_value()) continue;
      value = **source;
    }
    environment.Set(variable.name(), value);
  }
  for (const auto& [name, value] : services) {
    if (!environment.Has(name)) environment.Set(name, value);
  }
  for (const std::string& word : container.command()) process.command.push_back(expand(word));
  for (const std::string& word : container.args()) process.args.push_back(expand(word));
  process.envs = environment.Take();
  return process;
}

Result<std::string> ExpandStrictly(const std::string& text, const std::vector<EnvVariable>& envs) {
  std::string missing;
  std::string expanded = decide::Expand(text, [&](std::string_view name) -> std::optional<std::string> {
    for (const EnvVariable& env : envs) {
      if (env.name == name) return env.value;
    }
    missing = name;
    return std::nullopt;
  });
  if (!missing.empty()) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("{} uses the variable {}, which the container does not have", text, missing));
  }
  return expanded;
}

}  // namespace daemonsetd::pods
