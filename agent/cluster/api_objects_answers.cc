#include "agent/cluster/api_objects_answers.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/pods/named_objects.h"

namespace daemonsetd::cluster {
namespace {

// `configmap "settings"`
std::string Named(const kube::Resource& resource, std::string_view name) {
  std::string kind(resource.kind);
  std::transform(kind.begin(), kind.end(), kind.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return fmt::format("{} \"{}\"", kind, name);
}

}  // namespace

Error NotFound(const kube::Resource& resource, std::string_view name) {
  return Error(ErrorKind::kAbsent, Named(resource, name) + " not found");
}

Error NotFoundSince(const kube::Resource& resource, std::string_view name, WallTime since) {
  return Error(ErrorKind::kAbsent, fmt::format("{} not found, as the API server said at {}; it cannot be reached now",
                                               Named(resource, name), FormatRfc3339(since)));
}

Error NeverRead(const kube::Resource& resource, std::string_view name) {
  return Error(ErrorKind::kRetry, fmt::format("{} is not in the checkpoint, and the API server cannot be reached now",
                                              Named(resource, name)));
}

Error NoAnswer(const kube::Resource& resource, std::string_view name) {
  return Error(ErrorKind::kTimeout, Named(resource, name) + ": the API server did not answer in time");
}

Error WithMissingRight(const Error& error, std::string_view verb, std::string_view what, std::string_view ns) {
  // kDenied is also a certificate that was not accepted; that error says itself what to do.
  if (error.kind() != ErrorKind::kDenied || error.message().find("(HTTP 403") == std::string::npos) return error;
  const std::string where = ns.empty() ? std::string() : fmt::format(" in namespace \"{}\"", ns);
  return Error(ErrorKind::kDenied, fmt::format("{}; grant the identity of this node's kubeconfig the right to {} {}{}",
                                               error.message(), verb, what, where));
}

void AddNames(const corev1::Pod& pod, NamedByPod& names) {
  const std::string& ns = pod.metadata().namespace_();
  pods::ObjectNames objects;
  for (const corev1::Volume& volume : pod.spec().volumes()) pods::AddNames(volume, objects);
  for (const auto* containers : {&pod.spec().initcontainers(), &pod.spec().containers()}) {
    for (const corev1::Container& container : *containers) pods::AddNames(container, objects);
  }
  for (const auto& secret : pod.spec().imagepullsecrets()) objects.secrets.insert(secret.name());
  for (const std::string& name : objects.config_maps) names.config_maps.emplace(ns, name);
  for (const std::string& name : objects.secrets) names.secrets.emplace(ns, name);
  if (!pod.spec().serviceaccountname().empty()) names.accounts.emplace(ns, pod.spec().serviceaccountname());
  if (!pod.spec().runtimeclassname().empty()) names.runtime_classes.emplace("", pod.spec().runtimeclassname());
  names.namespaces.insert(ns);
}

}  // namespace daemonsetd::cluster
