#include "agent/pods/pod_events.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/decide/pod_status.h"

namespace daemonsetd::pods {
namespace {

using decide::ReferenceTo;
using decide::ReferenceToContainer;
using ContainerStatuses = google::protobuf::RepeatedPtrField<corev1::ContainerStatus>;

// The back-off after this very crash.
bool Has(const ContainerStatuses& statuses, const corev1::ContainerStatus& wanted) {
  return std::any_of(statuses.begin(), statuses.end(), [&wanted](const corev1::ContainerStatus& status) {
    return status.name() == wanted.name() && status.state().waiting().reason() == decide::kCrashLoopReason &&
           status.containerid() == wanted.containerid();
  });
}

}  // namespace

void PodEvents::Warn(const std::string& container, const std::string& reason, const std::string& message) {
  log_.Record(ReferenceToContainer(pod_, container), EventType::kWarning, reason, message);
}

void PodEvents::Pulling(const std::string& container, const std::string& image) {
  log_.Record(ReferenceToContainer(pod_, container), EventType::kNormal, "Pulling",
              fmt::format("Pulling image \"{}\"", image));
}

void PodEvents::Pulled(const std::string& container, const std::string& image, const PullOutcome& outcome) {
  const std::string message =
      outcome.pulled
          ? fmt::format("Successfully pulled image \"{}\". Image size: {} bytes.", image, outcome.image.size())
          : fmt::format("Container image \"{}\" already present on machine and can be accessed by the pod", image);
  log_.Record(ReferenceToContainer(pod_, container), EventType::kNormal, "Pulled", message);
}

void PodEvents::Created(const std::string& container) {
  log_.Record(ReferenceToContainer(pod_, container), EventType::kNormal, "Created", "Container created");
}

void PodEvents::Started(const std::string& container) {
  log_.Record(ReferenceToContainer(pod_, container), EventType::kNormal, "Started", "Container started");
}

void PodEvents::BackOff(const corev1::PodStatus& before, const corev1::PodStatus& now) {
  for (const auto& [statuses, old] : {std::pair(&now.initcontainerstatuses(), &before.initcontainerstatuses()),
                                      std::pair(&now.containerstatuses(), &before.containerstatuses())}) {
    for (const corev1::ContainerStatus& status : *statuses) {
      if (status.state().waiting().reason() != decide::kCrashLoopReason || Has(*old, status)) continue;
      Warn(status.name(), "BackOff",
           fmt::format("Back-off restarting failed container {} in pod {}_{}({})", status.name(),
                       pod_.metadata().name(), pod_.metadata().namespace_(), pod_.metadata().uid()));
    }
  }
}

void PodEvents::Killing(const decide::StopContainer& stop) {
  log_.Record(ReferenceToContainer(pod_, stop.name), EventType::kNormal, "Killing",
              stop.reason.starts_with("Container ") ? stop.reason
                                                    : fmt::format("Stopping container {}: {}", stop.name, stop.reason));
}

void PodEvents::HookFailed(const std::string& container, const char* reason, const std::string& output) {
  Warn(container, reason, output);
}

void PodEvents::Resized(const std::string& container, const std::string& resources) {
  log_.Record(ReferenceToContainer(pod_, container), EventType::kNormal, "ResizeCompleted",
              fmt::format("Container {} has its new resources: {}", container, resources));
}

void PodEvents::NetworkNotReady(const std::string& message) {
  log_.Record(ReferenceTo(pod_), EventType::kWarning, "NetworkNotReady", "network is not ready: " + message);
}

void PodEvents::DnsConfigForming(const std::string& message) {
  log_.Record(ReferenceTo(pod_), EventType::kWarning, "DNSConfigForming", message);
}

void PodEvents::InvalidAnnotation(const std::string& message) {
  log_.Record(ReferenceTo(pod_), EventType::kWarning, "InvalidAnnotation", message);
}

void PodEvents::InvalidEnvironment(const std::string& message) {
  log_.Record(ReferenceTo(pod_), EventType::kWarning, "InvalidEnvironmentVariableNames", message);
}

void PodEvents::PullSecretsMissing(const std::vector<std::string>& names) {
  log_.Record(
      ReferenceTo(pod_), EventType::kWarning, "FailedToRetrieveImagePullSecret",
      fmt::format("Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                  fmt::join(names, ", ")));
}

void PodEvents::MountFailed(const std::string& message) {
  log_.Record(ReferenceTo(pod_), EventType::kWarning, "FailedMount", message);
}

void PodEvents::CachedObjects(WallTime since) {
  log_.Record(ReferenceTo(pod_), EventType::kNormal, "CachedObjects",
              "The API server cannot be reached; ConfigMaps and Secrets of this pod are as of " + FormatRfc3339(since));
}

void PodEvents::Failed(const decide::Action& action, const std::string& reason, const Error& error) {
  if (const auto* start = std::get_if<decide::StartContainer>(&action)) {
    // As the kubelet: a pull in back-off is "BackOff" and expected, every other failure of a container is "Failed".
    if (reason == "ImagePullBackOff") {
      log_.Record(ReferenceToContainer(pod_, start->name), EventType::kNormal, "BackOff", error.message());
    } else {
      Warn(start->name, "Failed", fmt::format("Error: {}: {}", reason, error.message()));
    }
    return;
  }
  if (const auto* created = std::get_if<decide::StartCreatedContainer>(&action)) {
    Warn(created->name, "Failed", fmt::format("Error: {}: {}", reason, error.message()));
    return;
  }
  log_.Record(ReferenceTo(pod_), EventType::kWarning, reason, error.message());
}

}  // namespace daemonsetd::pods
