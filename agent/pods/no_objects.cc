#include "agent/pods/no_objects.h"

#include <string_view>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

Error NeedsServer(std::string_view kind, std::string_view name) {
  return Error(ErrorKind::kAbsent, fmt::format("needs {} {}: no API server is configured", kind, name));
}

}  // namespace

Task<Result<Found<corev1::ConfigMap>>> NoObjects::GetConfigMap(std::string, std::string name, Nanoseconds) {
  co_return NeedsServer("ConfigMap", name);
}

Task<Result<Found<corev1::Secret>>> NoObjects::GetSecret(std::string, std::string name, Nanoseconds) {
  co_return NeedsServer("Secret", name);
}

Task<Result<Found<corev1::ServiceAccount>>> NoObjects::GetServiceAccount(std::string, std::string name, Nanoseconds) {
  co_return NeedsServer("ServiceAccount", name);
}

Task<Result<Found<corev1::Service>>> NoObjects::GetService(std::string, std::string name, Nanoseconds) {
  co_return NeedsServer("Service", name);
}

Task<Result<Found<corev1::ServiceList>>> NoObjects::ListServices(std::string, Nanoseconds) {
  co_return Found<corev1::ServiceList>{.object = std::make_shared<corev1::ServiceList>(), .cached_since = {}};
}

Task<Result<Found<nodev1::RuntimeClass>>> NoObjects::GetRuntimeClass(std::string name, Nanoseconds) {
  co_return NeedsServer("RuntimeClass", name);
}

Task<Result<Token>> NoObjects::RequestToken(TokenRequest request, Nanoseconds) {
  co_return NeedsServer("a token of ServiceAccount", request.service_account);
}

std::unique_ptr<ObjectSource::Subscription> NoObjects::Watch(ObjectKey, std::function<void()>) {
  return std::make_unique<Subscription>();
}

}  // namespace daemonsetd::pods
