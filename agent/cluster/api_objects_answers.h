// What ApiObjects says where it has no object, in the words of Kubernetes, and what of the checkpoint hosted pods need.
// Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "agent/base/error.h"
#include "agent/base/time_point.h"
#include "agent/kube/resource.h"

namespace daemonsetd::cluster {

// `configmap "settings" not found`: the server says so now.
Error NotFound(const kube::Resource& resource, std::string_view name);
// The same, said at `since`, by a server that cannot be asked now.
Error NotFoundSince(const kube::Resource& resource, std::string_view name, WallTime since);
// kRetry: the server cannot be asked, and nothing is known of the object.
Error NeverRead(const kube::Resource& resource, std::string_view name);
// kTimeout.
Error NoAnswer(const kube::Resource& resource, std::string_view name);
// A refusal of rights with what to grant; any other error as it is. Without `ns`: of the cluster.
Error WithMissingRight(const Error& error, std::string_view verb, std::string_view what, std::string_view ns);

// What a pod names, by name in its namespace: all that its start and restart may ask for.
// But for the imagePullSecrets of its ServiceAccount.
struct NamedByPod {
  std::set<kube::NamespacedName> config_maps;
  std::set<kube::NamespacedName> secrets;
  std::set<kube::NamespacedName> accounts;
  std::set<kube::NamespacedName> runtime_classes;  // in no namespace
  std::set<std::string> namespaces;
};
void AddNames(const corev1::Pod& pod, NamedByPod& names);

}  // namespace daemonsetd::cluster
