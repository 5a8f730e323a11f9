#include "agent/pods/named_objects.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

template <class Object>
using Answers = std::map<std::string, Result<std::shared_ptr<const Object>>>;

template <class Object>
void Take(const std::string& name, const Result<Found<Object>>& answer, Answers<Object>& answers,
          NamedObjects& objects) {
  if (!answer) {
    answers.emplace(name, answer.error());
    if (IsUnknown(answer.error())) objects.unknown = answer.error();
    return;
  }
  answers.emplace(name, answer->object);
  if (answer->cached_since) {
    objects.cached_since = std::min(objects.cached_since.value_or(*answer->cached_since), *answer->cached_since);
  }
}

template <class Object>
Result<const Object*> FindIn(const Answers<Object>& answers, const std::string& name, const char* kind) {
  const auto found = answers.find(name);
  if (found == answers.end()) return Error(ErrorKind::kFatal, fmt::format("{} \"{}\" was not asked for", kind, name));
  if (!found->second) return found->second.error();
  return found->second->get();
}

}  // namespace

void AddNames(const corev1::Volume& volume, ObjectNames& names) {
  const corev1::VolumeSource& source = volume.volumesource();
  if (source.has_configmap()) names.config_maps.insert(source.configmap().localobjectreference().name());
  if (source.has_secret()) names.secrets.insert(source.secret().secretname());
  for (const corev1::VolumeProjection& projection : source.projected().sources()) {
    if (projection.has_configmap()) names.config_maps.insert(projection.configmap().localobjectreference().name());
    if (projection.has_secret()) names.secrets.insert(projection.secret().localobjectreference().name());
  }
}

void AddNames(const corev1::Container& container, ObjectNames& names) {
  for (const corev1::EnvFromSource& source : container.envfrom()) {
    if (source.has_configmapref()) names.config_maps.insert(source.configmapref().localobjectreference().name());
    if (source.has_secretref()) names.secrets.insert(source.secretref().localobjectreference().name());
  }
  for (const corev1::EnvVar& variable : container.env()) {
    const corev1::EnvVarSource& source = variable.valuefrom();
    if (source.has_configmapkeyref()) names.config_maps.insert(source.configmapkeyref().localobjectreference().name());
    if (source.has_secretkeyref()) names.secrets.insert(source.secretkeyref().localobjectreference().name());
  }
}

Task<NamedObjects> Fetch(std::shared_ptr<ObjectSource> source, std::string name_space, ObjectNames names,
                         Nanoseconds timeout) {
  NamedObjects objects;
  for (const std::string& name : names.config_maps) {
    if (objects.unknown) {
      objects.config_maps.emplace(name, *objects.unknown);
      continue;
    }
    const Result<Found<corev1::ConfigMap>> answer = co_await source->GetConfigMap(name_space, name, timeout);
    Take(name, answer, objects.config_maps, objects);
  }
  for (const std::string& name : names.secrets) {
    if (objects.unknown) {
      objects.secrets.emplace(name, *objects.unknown);
      continue;
    }
    const Result<Found<corev1::Secret>> answer = co_await source->GetSecret(name_space, name, timeout);
    Take(name, answer, objects.secrets, objects);
  }
  co_return objects;
}

Result<const corev1::ConfigMap*> FindConfigMap(const NamedObjects& objects, const std::string& name) {
  return FindIn(objects.config_maps, name, "configmap");
}

Result<const corev1::Secret*> FindSecret(const NamedObjects& objects, const std::string& name) {
  return FindIn(objects.secrets, name, "secret");
}

}  // namespace daemonsetd::pods
