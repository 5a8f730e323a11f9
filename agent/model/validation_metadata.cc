#include <charconv>
#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

constexpr std::size_t kAnnotationsLimit = 256 * 1024;
constexpr std::size_t kManagerLimit = 128;
constexpr std::size_t kSubresourceLimit = 256;

constexpr std::string_view kSeccompPod = "seccomp.security.alpha.kubernetes.io/pod";
constexpr std::string_view kSeccompContainer = "container.seccomp.security.alpha.kubernetes.io/";
constexpr std::string_view kAppArmorContainer = "container.apparmor.security.beta.kubernetes.io/";
constexpr std::string_view kLocalhostPrefix = "localhost/";

std::string Lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    }
  }
  return out;
}

// A generated name gets a suffix, so that the prefix may end in '-'.
std::string CheckGenerateName(std::string_view prefix) {
  if (prefix.size() > 1 && prefix.ends_with('-')) {
    return CheckDns1123Subdomain(std::string(prefix.substr(0, prefix.size() - 2)) + "a");
  }
  return CheckDns1123Subdomain(prefix);
}

void ValidateOwnerReferences(const metav1::ObjectMeta& metadata, const Path& path, ErrorList& errors) {
  std::string controller;
  for (const auto& owner : metadata.ownerreferences()) {
    // The version is what follows the last '/': "apps/v1", "v1".
    if (owner.apiversion().empty() || owner.apiversion().ends_with('/')) {
      errors.Invalid(path / "apiVersion", owner.apiversion(), "version must not be empty");
    }
    if (owner.kind().empty()) {
      errors.Invalid(path / "kind", "", "must not be empty");
    }
    if (owner.name().empty()) {
      errors.Invalid(path / "name", "", "must not be empty");
    }
    if (owner.uid().empty()) {
      errors.Invalid(path / "uid", "", "must not be empty");
    }
    if (owner.apiversion() == "v1" && owner.kind() == "Event") {
      errors.Invalid(path, "v1 Event", "an Event is disallowed from being an owner");
    }
    if (!owner.controller()) {
      continue;
    }
    const std::string name = owner.kind() + "/" + owner.name();
    if (!controller.empty()) {
      errors.Invalid(path, name,
                     "Only one reference can have Controller set to true. Found \"true\" in references for " +
                         controller + " and " + name);
    } else {
      controller = name;
    }
  }
}

void ValidateFinalizers(const metav1::ObjectMeta& metadata, const Path& path, ErrorList& errors) {
  bool orphan = false;
  bool foreground = false;
  for (const auto& finalizer : metadata.finalizers()) {
    errors.Check(path, finalizer, CheckQualifiedName(finalizer));
    orphan = orphan || finalizer == "orphan";
    foreground = foreground || finalizer == "foregroundDeletion";
  }
  if (orphan && foreground) {
    errors.Invalid(path, "orphan", "finalizer orphan and foregroundDeletion cannot be both set");
  }
  for (int i = 0; i < metadata.finalizers_size(); ++i) {
    const std::string& finalizer = metadata.finalizers(i);
    const bool is_standard = finalizer == "kubernetes" || finalizer == "orphan" || finalizer == "foregroundDeletion";
    if (finalizer.find('/') == std::string::npos && !is_standard) {
      errors.Invalid(path[i], finalizer, "name is neither a standard finalizer name nor is it fully qualified");
    }
  }
}

void ValidateManagedFields(const metav1::ObjectMeta& metadata, const Path& path, ErrorList& errors) {
  for (int i = 0; i < metadata.managedfields_size(); ++i) {
    const auto& entry = metadata.managedfields(i);
    errors.CheckOneOf(path[i] / "operation", entry.operation(), {"Apply", "Update"});
    if (!entry.fieldstype().empty() && entry.fieldstype() != "FieldsV1") {
      errors.Invalid(path[i] / "fieldsType", entry.fieldstype(), "must be `FieldsV1`");
    }
    if (entry.manager().size() > kManagerLimit) {
      errors.TooLong(path[i] / "manager", kManagerLimit);
    }
    if (entry.subresource().size() > kSubresourceLimit) {
      errors.TooLong(path[i] / "subresource", kSubresourceLimit);
    }
  }
}

void CheckSeccompAnnotation(const Path& path, std::string_view profile, ErrorList& errors) {
  if (profile == "runtime/default" || profile == "docker/default" || profile == "unconfined") {
    return;
  }
  if (profile.starts_with(kLocalhostPrefix)) {
    CheckRelativePath(path, profile.substr(kLocalhostPrefix.size()), errors);
    return;
  }
  errors.Invalid(path, profile, "must be a valid seccomp profile");
}

bool HasContainer(const corev1::PodSpec& spec, std::string_view name) {
  bool found = false;
  VisitContainers(spec, Path(""),
                  [&](const corev1::Container& container, const Path&) { found = found || container.name() == name; });
  return found;
}

const std::string* Find(const StringMap& map, const std::string& key) {
  const auto it = map.find(key);
  return it == map.end() ? nullptr : &it->second;
}

// `kind` is "seccomp" or "apparmor"; `defaults` are the annotation's names for RuntimeDefault.
template <class Profile>
void CheckProfileMatches(const Profile& profile, std::string_view annotation, std::string_view kind,
                         std::initializer_list<std::string_view> defaults, const Path& path, ErrorList& errors) {
  const bool is_localhost = annotation.starts_with(kLocalhostPrefix);
  const bool type_differs =
      (profile.type() == "Unconfined" && annotation != "unconfined") ||
      (profile.type() == "RuntimeDefault" && std::ranges::find(defaults, annotation) == defaults.end()) ||
      (profile.type() == "Localhost" && !is_localhost);
  if (type_differs) {
    errors.Forbidden(path / "type", std::string(kind) + " type in annotation and field must match");
  } else if (profile.type() == "Localhost" &&
             (!profile.has_localhostprofile() ||
              annotation.substr(kLocalhostPrefix.size()) != profile.localhostprofile())) {
    errors.Forbidden(path / "localhostProfile", std::string(kind) + " profile in annotation and field must match");
  }
}

}  // namespace

void ValidateLabels(const StringMap& labels, const Path& path, ErrorList& errors) {
  for (const std::string& key : SortedKeys(labels)) {
    errors.Check(path, key, CheckQualifiedName(key));
    errors.Check(path, labels.at(key), CheckLabelValue(labels.at(key)));
  }
}

void ValidateAnnotations(const StringMap& annotations, const Path& path, ErrorList& errors) {
  std::size_t size = 0;
  for (const std::string& key : SortedKeys(annotations)) {
    errors.Check(path, key, CheckQualifiedName(Lowered(key)));
    size += key.size() + annotations.at(key).size();
  }
  if (size > kAnnotationsLimit) {
    errors.TooLong(path, kAnnotationsLimit);
  }
}

void ValidateObjectMeta(const metav1::ObjectMeta& metadata, const Path& path, ErrorList& errors) {
  if (!metadata.generatename().empty()) {
    errors.Check(path / "generateName", metadata.generatename(), CheckGenerateName(metadata.generatename()));
  }
  if (metadata.name().empty()) {
    errors.Required(path / "name", "name or generateName is required");
  } else {
    errors.Check(path / "name", metadata.name(), CheckDns1123Subdomain(metadata.name()));
  }
  if (metadata.namespace_().empty()) {
    errors.Required(path / "namespace");
  } else {
    errors.Check(path / "namespace", metadata.namespace_(), CheckDns1123Label(metadata.namespace_()));
  }
  errors.CheckNotNegative(path / "generation", metadata.generation());
  ValidateLabels(metadata.labels(), path / "labels", errors);
  ValidateAnnotations(metadata.annotations(), path / "annotations", errors);
  ValidateOwnerReferences(metadata, path / "ownerReferences", errors);
  ValidateFinalizers(metadata, path / "finalizers", errors);
  ValidateManagedFields(metadata, path / "managedFields", errors);
}

void ValidateLabelSelector(const metav1::LabelSelector& selector, const Path& path, ErrorList& errors) {
  ValidateLabels(selector.matchlabels(), path / "matchLabels", errors);
  for (int i = 0; i < selector.matchexpressions_size(); ++i) {
    const auto& expression = selector.matchexpressions(i);
    const Path at = (path / "matchExpressions")[i];
    if (expression.operator_() == "In" || expression.operator_() == "NotIn") {
      if (expression.values().empty()) {
        errors.Required(at / "values", "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (expression.operator_() == "Exists" || expression.operator_() == "DoesNotExist") {
      if (!expression.values().empty()) {
        errors.Forbidden(at / "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else {
      errors.Invalid(at / "operator", expression.operator_(), "not a valid selector operator");
    }
    errors.Check(at / "key", expression.key(), CheckQualifiedName(expression.key()));
    for (int j = 0; j < expression.values_size(); ++j) {
      errors.Check((at / "values")[j], expression.values(j), CheckLabelValue(expression.values(j)));
    }
  }
}

void ValidatePodAnnotations(const StringMap& annotations, const corev1::PodSpec& spec, const Path& path,
                            ErrorList& errors) {
  constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
  constexpr std::string_view kDeletionCost = "controller.kubernetes.io/pod-deletion-cost";
  for (const std::string& key : SortedKeys(annotations)) {
    const std::string& value = annotations.at(key);
    if (key == kMirror && spec.nodename().empty()) {
      errors.Invalid(path.Key(key), value, "must set spec.nodeName if mirror pod annotation is set");
    } else if (key == kDeletionCost) {
      std::int32_t cost = 0;
      const auto [end, status] = std::from_chars(value.data(), value.data() + value.size(), cost);
      if (status != std::errc() || end != value.data() + value.size()) {
        errors.Invalid(path.Key(key), value, "must be a 32bit integer");
      }
    } else if (key == kSeccompPod || key.starts_with(kSeccompContainer)) {
      CheckSeccompAnnotation(path / key, value, errors);
    } else if (key.starts_with(kAppArmorContainer)) {
      const std::string_view container = std::string_view(key).substr(kAppArmorContainer.size());
      if (!HasContainer(spec, container)) {
        errors.Invalid(path.Key(key), container, "container not found");
      }
      if (!value.empty() && value != "runtime/default" && value != "unconfined" &&
          !value.starts_with(kLocalhostPrefix)) {
        errors.Invalid(path.Key(key), value, "invalid AppArmor profile name: \"" + value + "\"");
      }
    }
  }
}

void ValidateProfilesMatchAnnotations(const StringMap& annotations, const corev1::PodSpec& spec, const Path& path,
                                      ErrorList& errors) {
  const auto& pod_security = spec.securitycontext();
  if (const std::string* annotation = Find(annotations, std::string(kSeccompPod));
      annotation != nullptr && pod_security.has_seccompprofile()) {
    CheckProfileMatches(pod_security.seccompprofile(), *annotation, "seccomp", {"runtime/default", "docker/default"},
                        path / "securityContext" / "seccompProfile", errors);
  }
  VisitContainers(spec, path, [&](const corev1::Container& container, const Path& at) {
    const auto& security = container.securitycontext();
    const Path security_path = at / "securityContext";
    const std::string* seccomp = Find(annotations, std::string(kSeccompContainer) + container.name());
    if (seccomp != nullptr && security.has_seccompprofile()) {
      CheckProfileMatches(security.seccompprofile(), *seccomp, "seccomp", {"runtime/default", "docker/default"},
                          security_path / "seccompProfile", errors);
    }
    const std::string* apparmor = Find(annotations, std::string(kAppArmorContainer) + container.name());
    if (apparmor == nullptr || spec.os().name() == "windows") {
      return;
    }
    if (security.has_apparmorprofile() || pod_security.has_apparmorprofile()) {
      CheckProfileMatches(security.has_apparmorprofile() ? security.apparmorprofile() : pod_security.apparmorprofile(),
                          *apparmor, "apparmor", {"runtime/default"}, security_path / "appArmorProfile", errors);
    }
  });
}

}  // namespace daemonsetd::model::validation
