#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/quantity.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

void CheckFileKey(const corev1::FileKeySelector& selector, const Path& path, ErrorList& errors) {
  if (selector.volumename().empty()) {
    errors.Required(path / "volumeName");
  } else {
    errors.Check(path / "volumeName", selector.volumename(), CheckDns1123Label(selector.volumename()));
  }
  if (selector.path().empty()) {
    errors.Required(path / "path");
  } else {
    CheckVolumeFilePath(path / "path", selector.path(), errors);
  }
  if (selector.key().empty()) {
    errors.Required(path / "key");
  } else {
    errors.Check(path / "key", selector.key(), CheckEnvVarName(selector.key()));
  }
}

// configMapKeyRef and secretKeyRef.
template <class Selector>
void CheckKeySelector(const Selector& selector, const Path& path, ErrorList& errors) {
  const std::string& name = selector.localobjectreference().name();
  errors.Check(path / "name", name, CheckDns1123Subdomain(name));
  if (selector.key().empty()) {
    errors.Required(path / "key");
  } else {
    errors.Check(path / "key", selector.key(), CheckConfigMapKey(selector.key()));
  }
}

void ValidateValueFrom(const corev1::EnvVar& variable, const Path& path, ErrorList& errors) {
  const auto& source = variable.valuefrom();
  int kinds = 0;
  if (source.has_fieldref()) {
    ++kinds;
    ValidateFieldRef(source.fieldref(),
                     {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
                      "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"},
                     path / "fieldRef", errors);
  }
  if (source.has_resourcefieldref()) {
    ++kinds;
    ValidateResourceFieldRef(source.resourcefieldref(), false, path / "resourceFieldRef", errors);
  }
  if (source.has_configmapkeyref()) {
    ++kinds;
    CheckKeySelector(source.configmapkeyref(), path / "configMapKeyRef", errors);
  }
  if (source.has_secretkeyref()) {
    ++kinds;
    CheckKeySelector(source.secretkeyref(), path / "secretKeyRef", errors);
  }
  if (source.has_filekeyref()) {
    ++kinds;
    CheckFileKey(source.filekeyref(), path / "fileKeyRef", errors);
  }
  if (kinds == 0) {
    errors.Invalid(path, "",
                   "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or "
                   "`fileKeyRef`");
  } else if (!variable.value().empty()) {
    errors.Invalid(path, "", "may not be specified when `value` is not empty");
  } else if (kinds > 1) {
    errors.Invalid(path, "", "may not have more than one field specified at a time");
  }
}

template <class EnvSource>
void CheckEnvSource(const EnvSource& source, const Path& path, ErrorList& errors) {
  const std::string& name = source.localobjectreference().name();
  if (name.empty()) {
    errors.Required(path / "name");
  } else {
    errors.Check(path / "name", name, CheckDns1123Subdomain(name));
  }
}

// "metadata.labels['app']" is labels plus a subscript.
struct FieldPath {
  std::string_view path;
  std::string_view subscript;
  bool has_subscript;
};

FieldPath SplitSubscript(std::string_view text) {
  const std::size_t open = text.find("['");
  if (open == std::string_view::npos || !text.ends_with("']") || open + 4 > text.size()) {
    return {text, {}, false};
  }
  return {text.substr(0, open), text.substr(open + 2, text.size() - open - 4), true};
}

bool IsKnownFieldPath(std::string_view path) {
  constexpr std::string_view kKnown[] = {
      "metadata.annotations", "metadata.labels",    "metadata.name",           "metadata.namespace", "metadata.uid",
      "spec.nodeName",        "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName", "spec.host",
      "status.phase",         "status.hostIP",      "status.hostIPs",          "status.podIP",       "status.podIPs"};
  return std::ranges::find(kKnown, path) != std::end(kKnown);
}

void CheckDivisor(const corev1::ResourceFieldSelector& selector, const Path& path, ErrorList& errors) {
  const auto divisor = Quantity::Parse(selector.divisor().string());
  if (!selector.has_divisor() || selector.divisor().string().empty()) {
    return;
  }
  if (!divisor) {
    errors.Invalid(path / "divisor", selector.divisor().string(), "must be a quantity, such as 1m or 1Mi");
    return;
  }
  if (divisor->IsZero()) {
    return;  // unset: counts as 1
  }
  const std::string_view resource = selector.resource();
  const std::string_view kind = resource.substr(resource.find('.') + 1);
  const std::string text = divisor->Canonical();
  if (kind == "cpu") {
    if (text != "1m" && text != "1") {
      errors.Invalid(path / "divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource");
    }
    return;
  }
  constexpr std::string_view kSizes[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P", "1E",
                                         "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};
  const bool is_size = kind == "memory" || kind == "ephemeral-storage" || kind.starts_with("hugepages-");
  if (is_size && std::ranges::find(kSizes, text) == std::end(kSizes)) {
    const std::string_view name = kind == "memory"              ? "memory"
                                  : kind == "ephemeral-storage" ? "local ephemeral storage"
                                                                : "hugepages";
    errors.Invalid(path / "divisor", resource,
                   "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with "
                   "the " +
                       std::string(name) + " resource");
  }
}

}  // namespace

void ValidateFieldRef(const corev1::ObjectFieldSelector& selector, std::initializer_list<std::string_view> allowed,
                      const Path& path, ErrorList& errors) {
  const std::string& text = selector.fieldpath();
  if (selector.apiversion().empty()) {
    errors.Required(path / "apiVersion");
    return;
  }
  if (text.empty()) {
    errors.Required(path / "fieldPath");
    return;
  }
  if (selector.apiversion() != "v1") {
    errors.Invalid(path / "fieldPath", text,
                   "error converting fieldPath: unsupported pod version: " + selector.apiversion());
    return;
  }
  const FieldPath split = SplitSubscript(text);
  if (split.has_subscript) {
    if (split.path != "metadata.labels" && split.path != "metadata.annotations") {
      errors.Invalid(path / "fieldPath", text,
                     "error converting fieldPath: field label does not support subscript: " + text);
      return;
    }
    std::string key(split.subscript);
    if (split.path == "metadata.annotations") {
      std::ranges::transform(key, key.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    }
    errors.Check(path, key, CheckQualifiedName(key));
    return;
  }
  if (!IsKnownFieldPath(text)) {
    errors.Invalid(path / "fieldPath", text, "error converting fieldPath: field label not supported: " + text);
    return;
  }
  errors.CheckOneOf(path / "fieldPath", text == "spec.host" ? "spec.nodeName" : text, allowed);
}

void ValidateResourceFieldRef(const corev1::ResourceFieldSelector& selector, bool needs_container, const Path& path,
                              ErrorList& errors) {
  const std::string& resource = selector.resource();
  if (needs_container && selector.containername().empty()) {
    errors.Required(path / "containerName");
  } else if (resource.empty()) {
    errors.Required(path / "resource");
  } else if (!resource.starts_with("limits.hugepages-") && !resource.starts_with("requests.hugepages-")) {
    errors.CheckOneOf(path / "resource", resource,
                      {"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                       "requests.ephemeral-storage", "requests.memory"});
  }
  CheckDivisor(selector, path, errors);
}

void ValidateEnv(const corev1::Container& container, const Path& path, ErrorList& errors) {
  for (int i = 0; i < container.env_size(); ++i) {
    const auto& variable = container.env(i);
    if (variable.name().empty()) {
      errors.Required(path[i] / "name");
    } else {
      errors.Check(path[i] / "name", variable.name(), CheckEnvVarName(variable.name()));
    }
    if (variable.has_valuefrom()) {
      ValidateValueFrom(variable, path[i] / "valueFrom", errors);
    }
  }
}

void ValidateEnvFrom(const corev1::Container& container, const Path& path, ErrorList& errors) {
  for (int i = 0; i < container.envfrom_size(); ++i) {
    const auto& source = container.envfrom(i);
    if (!source.prefix().empty()) {
      errors.Check(path[i] / "prefix", source.prefix(), CheckEnvVarName(source.prefix()));
    }
    if (source.has_configmapref()) {
      CheckEnvSource(source.configmapref(), path[i] / "configMapRef", errors);
    }
    if (source.has_secretref()) {
      CheckEnvSource(source.secretref(), path[i] / "secretRef", errors);
    }
    if (!source.has_configmapref() && !source.has_secretref()) {
      errors.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (source.has_configmapref() && source.has_secretref()) {
      errors.Invalid(path, "", "may not have more than one field specified at a time");
    }
  }
}

void ValidateFileKeyVolumes(const corev1::PodSpec& spec, const Path& path, const PodContext& context,
                            ErrorList& errors) {
  VisitContainers(spec, path, [&](const corev1::Container& container, const Path& at) {
    for (int i = 0; i < container.env_size(); ++i) {
      if (!container.env(i).valuefrom().has_filekeyref()) {
        continue;
      }
      const std::string& name = container.env(i).valuefrom().filekeyref().volumename();
      const Path name_path = (at / "env")[i] / "valueFrom" / "fileKeyRef" / "volumeName";
      const auto volume = context.volumes.find(name);
      if (volume == context.volumes.end()) {
        errors.NotFound(name_path, name);
      } else if (!volume->second->has_emptydir()) {
        errors.Invalid(name_path, name, "the volume must be an emptyDir");
      }
    }
  });
}

}  // namespace daemonsetd::model::validation
