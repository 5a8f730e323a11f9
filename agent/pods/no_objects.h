// The objects of a node without an API server: there are none.
#pragma once

#include "agent/pods/object_source.h"

namespace daemonsetd::pods {

// kAbsent for everything, with the reason; no Services.
class NoObjects final : public ObjectSource {
 public:
  Task<Result<Found<corev1::ConfigMap>>> GetConfigMap(std::string name_space, std::string name,
                                                      Nanoseconds timeout) override;
  Task<Result<Found<corev1::Secret>>> GetSecret(std::string name_space, std::string name, Nanoseconds timeout) override;
  Task<Result<Found<corev1::ServiceAccount>>> GetServiceAccount(std::string name_space, std::string name,
                                                                Nanoseconds timeout) override;
  Task<Result<Found<corev1::Service>>> GetService(std::string name_space, std::string name,
                                                  Nanoseconds timeout) override;
  Task<Result<Found<corev1::ServiceList>>> ListServices(std::string name_space, Nanoseconds timeout) override;
  Task<Result<Found<nodev1::RuntimeClass>>> GetRuntimeClass(std::string name, Nanoseconds timeout) override;
  Task<Result<Token>> RequestToken(TokenRequest request, Nanoseconds timeout) override;
  std::unique_ptr<Subscription> Watch(ObjectKey key, std::function<void()> on_change) override;
};

}  // namespace daemonsetd::pods
