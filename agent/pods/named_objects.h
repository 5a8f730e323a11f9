// The ConfigMaps and Secrets that parts of a pod name, and what the source answered of each. Pure but for Fetch.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/pods/object_source.h"

namespace daemonsetd::pods {

// Names within the pod's namespace.
struct ObjectNames {
  std::set<std::string> config_maps;
  std::set<std::string> secrets;
};

void AddNames(const corev1::Volume& volume, ObjectNames& names);
void AddNames(const corev1::Container& container, ObjectNames& names);  // env and envFrom

// By name. Asked for and not in here cannot be: Fetch answers every name.
struct NamedObjects {
  std::map<std::string, Result<std::shared_ptr<const corev1::ConfigMap>>> config_maps;
  std::map<std::string, Result<std::shared_ptr<const corev1::Secret>>> secrets;
  std::optional<WallTime> cached_since;  // of the oldest; unset when all are live
  std::optional<Error> unknown;          // the first that nobody can tell; the ones after it share it
};

// Each is asked for in turn with this timeout, until one cannot be told: then all the rest are as unknown.
Task<NamedObjects> Fetch(std::shared_ptr<ObjectSource> source, std::string name_space, ObjectNames names,
                         Nanoseconds timeout);

// The answer for one name. kAbsent: it does not exist.
Result<const corev1::ConfigMap*> FindConfigMap(const NamedObjects& objects, const std::string& name);
Result<const corev1::Secret*> FindSecret(const NamedObjects& objects, const std::string& name);

}  // namespace daemonsetd::pods
