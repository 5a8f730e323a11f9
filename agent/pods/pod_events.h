// The Events of a pod's life, with the kubelet's reasons and words (pkg/kubelet/events/event.go).
#pragma once

#include <string>
#include <vector>

#include "agent/base/error.h"
#include "agent/base/time_point.h"
#include "agent/decide/pod_plan.h"
#include "agent/pods/event_log.h"
#include "agent/pods/images.h"

namespace daemonsetd::pods {

class PodEvents {
 public:
  // The references must outlive it.
  PodEvents(EventLog& log, const corev1::Pod& pod) : log_(log), pod_(pod) {}

  void Pulling(const std::string& container, const std::string& image);
  void Pulled(const std::string& container, const std::string& image, const PullOutcome& outcome);
  void Created(const std::string& container);
  void Started(const std::string& container);
  // Containers that crashed again and now wait for their restart: what `now` says of them and `before` did not.
  void BackOff(const corev1::PodStatus& before, const corev1::PodStatus& now);
  void Killing(const decide::StopContainer& stop);
  void HookFailed(const std::string& container, const char* reason, const std::string& output);
  void Resized(const std::string& container, const std::string& resources);
  // A pod with a network of its own waits for the runtime's.
  void NetworkNotReady(const std::string& message);
  // resolv.conf takes less than the pod asks for; `message` says what was left out.
  void DnsConfigForming(const std::string& message);
  // An annotation of ours cannot be read; what holds instead is in the message.
  void InvalidAnnotation(const std::string& message);
  // Keys of an envFrom that name no variable; `message` says which.
  void InvalidEnvironment(const std::string& message);
  // Pull secrets that cannot be read, by name.
  void PullSecretsMissing(const std::vector<std::string>& names);
  // A volume of a running pod keeps its old files; `message` says why.
  void MountFailed(const std::string& message);
  // The API server cannot be reached; the pod's ConfigMaps and Secrets are as they were then.
  void CachedObjects(WallTime since);
  // An operation failed with `reason`, Kubernetes' word for it.
  void Failed(const decide::Action& action, const std::string& reason, const Error& error);

 private:
  void Warn(const std::string& container, const std::string& reason, const std::string& message);

  EventLog& log_;
  const corev1::Pod& pod_;
};

}  // namespace daemonsetd::pods
