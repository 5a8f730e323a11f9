// The actions of a pod plan, carried out. Each is safe to repeat and leaves the runtime view up to date.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "agent/decide/pod_plan.h"
#include "agent/pods/container_stops.h"
#include "agent/pods/env.h"
#include "agent/pods/pod_events.h"
#include "agent/pods/pod_identity.h"
#include "agent/pods/pod_objects.h"
#include "agent/pods/pod_services.h"
#include "cri/convert.h"

namespace daemonsetd::pods {

struct Outcome {
  Status status;
  std::string reason;  // Kubernetes' word for the failure: "ErrImagePull", "CreateContainerError", ...
  // Nobody can say yet what it needs to know: it is tried again, and there is nothing to tell anybody (VO-07).
  bool unknown = false;
  std::optional<MonoTime> next_pull;  // an image is missing, and is not pulled before
};

// Told of a container before it is started: what it will owe (a postStart hook) must be known by then.
using CreatedHandler = std::function<void(const std::string& container, const std::string& container_id)>;

class PodOperations {
 public:
  // The references must outlive every operation; `pod`'s status is read when its containers' env is made.
  // `on_objects_changed`: see PodObjects.
  PodOperations(PodServices& services, const PodIdentity& identity, const corev1::Pod& pod, PodEvents& events,
                CreatedHandler on_created, std::function<void()> on_objects_changed);

  // Until a CRI call that creates something was sent, cancellation ends the operation; after that it is ignored, so
  // that what was created is known afterwards.
  Task<Outcome> Execute(decide::Action action);

  // True when the stop of this container, now in its preStop hook, ends at `kill_at` if that is sooner.
  bool HurryStop(const std::string& container_id, MonoTime kill_at) { return stops_.Hurry(container_id, kill_at); }

  // The volumes' files, the environment's objects. KeepFresh runs beside the operations.
  PodObjects& objects() { return objects_; }
  const PodObjects& objects() const { return objects_; }

  // How long pulls of this pod's images were waited for so far; two at the same time count once.
  Nanoseconds pulled_for() const { return pulled_for_; }

  // Makes or repairs the link of one container's log (log collectors read these).
  Status LinkLog(const cri::v1::ContainerStatus& container);

 private:
  Task<Outcome> SetUp();
  Task<Outcome> Create(decide::CreateSandbox action);
  Task<Outcome> Start(decide::StartContainer action);
  Task<Outcome> StartCreated(decide::StartCreatedContainer action);
  Task<Outcome> RunHook(decide::RunPostStart action);
  Task<Outcome> Update(decide::UpdateResources action);
  Task<Outcome> StopOne(decide::StopContainer action);
  Task<Outcome> Remove(decide::RemoveContainer action);
  Task<Outcome> Stop(decide::StopSandbox action);
  Task<Outcome> Remove(decide::RemoveSandbox action);
  Task<Outcome> TearDown();
  Task<void> Refresh(std::string container_id, std::string sandbox_id);
  Task<void> RemoveFiles(std::vector<std::string> files);
  PodFacts Facts() const;
  // Ends when the runtime has said what it can do, which it has not right after a start.
  Task<void> AwaitRuntime();
  // As the API server's admission does for a pod that has an object.
  corev1::Pod WithOverhead(const decide::RuntimeClass& runtime_class) const;
  // The group that this sandbox's containers are in is the pod's.
  bool IsInGroup(const std::string& sandbox_id) const;
  // The group's limits before and after its containers' own are changed.
  Task<Status> ChangeGroup(bool containers_are_changed);
  // What InputsOf needs and only the file system knows.
  Task<Status> FindUserNamespace();
  // Of a container; `unknown` in the outcome when it is nobody's failure.
  Task<Result<ProcessSpec>> MakeEnvironment(corev1::Container container, bool* unknown);
  Task<PullOutcome> PullImage(std::string image, std::string policy, std::string container,
                              cri::v1::PodSandboxConfig sandbox);
  // Fills volume_images_ for the image volumes that the container mounts.
  Task<PullOutcome> PullVolumes(corev1::Container container, cri::v1::PodSandboxConfig sandbox);
  cri::SandboxInputs InputsOf(const PodPaths& paths) const;
  cri::v1::PodSandboxConfig SandboxConfigOf(const std::string& sandbox_id, const PodPaths& paths) const;
  const cri::v1::PodSandboxStatus* FindSandbox(const std::string& sandbox_id) const;  // null: not seen yet
  std::string SandboxOf(const std::string& container_id) const;
  std::vector<std::string> LogFilesOf(const std::string& container_id) const;

  PodServices& services_;
  const PodIdentity& identity_;
  const corev1::Pod& pod_;
  CreatedHandler on_created_;
  PodEvents& events_;
  ContainerStops stops_;
  PodObjects objects_;
  std::string runtime_handler_;  // of the sandbox
  int updating_ = 0;             // containers whose resources are being changed
  Nanoseconds pulled_for_ = Nanoseconds::zero();
  MonoTime pulled_until_{};                                  // what ended before is counted
  std::optional<cri::IdRange> user_namespace_;               // FindUserNamespace's
  std::map<std::string, cri::v1::ImageSpec> volume_images_;  // PullVolumes', by volume name
};

}  // namespace daemonsetd::pods
