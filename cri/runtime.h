// The port to a container runtime: CRI v1 as awaitable calls. Two implementations pass the same contract suite
// (tests/contract/): GrpcRuntime (cri/grpc_runtime.h) and the fake (tests/support/fake_runtime.h).
//
// Every call has a deadline. After kTimeout the runtime may still finish the call: observe before trying again.
// Stop and Remove calls succeed on objects that do not exist (kAbsent never comes from them).
#pragma once

#include <functional>

#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "cri.pb.h"

namespace daemonsetd::cri {

namespace v1 = ::runtime::v1;

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual Task<Result<v1::VersionResponse>> Version(Nanoseconds timeout) = 0;
  virtual Task<Result<v1::StatusResponse>> Status(bool verbose, Nanoseconds timeout) = 0;
  // kUnsupported on runtimes older than containerd 2.
  virtual Task<Result<v1::RuntimeConfigResponse>> RuntimeConfig(Nanoseconds timeout) = 0;

  // Sandboxes. RunPodSandbox answers the sandbox ID; kExists: the name is reserved by a call still under way.
  virtual Task<Result<std::string>> RunPodSandbox(v1::RunPodSandboxRequest request, Nanoseconds timeout) = 0;
  virtual Task<daemonsetd::Status> StopPodSandbox(std::string sandbox_id, Nanoseconds timeout) = 0;
  virtual Task<daemonsetd::Status> RemovePodSandbox(std::string sandbox_id, Nanoseconds timeout) = 0;
  virtual Task<Result<v1::PodSandboxStatusResponse>> PodSandboxStatus(std::string sandbox_id, bool verbose,
                                                                      Nanoseconds timeout) = 0;
  virtual Task<Result<v1::ListPodSandboxResponse>> ListPodSandbox(v1::PodSandboxFilter filter, Nanoseconds timeout) = 0;

  // Containers. CreateContainer answers the container ID; kExists as above.
  virtual Task<Result<std::string>> CreateContainer(v1::CreateContainerRequest request, Nanoseconds timeout) = 0;
  virtual Task<daemonsetd::Status> StartContainer(std::string container_id, Nanoseconds timeout) = 0;
  // `grace`: whole seconds between the stop signal and SIGKILL. `timeout` must be longer than `grace`.
  virtual Task<daemonsetd::Status> StopContainer(std::string container_id, Seconds grace, Nanoseconds timeout) = 0;
  virtual Task<daemonsetd::Status> RemoveContainer(std::string container_id, Nanoseconds timeout) = 0;
  virtual Task<Result<v1::ListContainersResponse>> ListContainers(v1::ContainerFilter filter, Nanoseconds timeout) = 0;
  virtual Task<Result<v1::ContainerStatusResponse>> ContainerStatus(std::string container_id, bool verbose,
                                                                    Nanoseconds timeout) = 0;
  virtual Task<daemonsetd::Status> UpdateContainerResources(v1::UpdateContainerResourcesRequest request,
                                                            Nanoseconds timeout) = 0;
  virtual Task<daemonsetd::Status> ReopenContainerLog(std::string container_id, Nanoseconds timeout) = 0;
  virtual Task<Result<v1::ExecSyncResponse>> ExecSync(v1::ExecSyncRequest request, Nanoseconds timeout) = 0;
  virtual Task<Result<v1::ListContainerStatsResponse>> ListContainerStats(v1::ContainerStatsFilter filter,
                                                                          Nanoseconds timeout) = 0;

  // Delivers events to `on_event` on the loop until the stream ends (the error says why; it never returns success)
  // or the caller is cancelled. kUnsupported: this runtime has no events, so poll.
  using EventHandler = std::function<void(const v1::ContainerEventResponse&)>;
  virtual Task<daemonsetd::Status> ContainerEvents(EventHandler on_event) = 0;

  // Images. ImageStatus: kAbsent when the image is not here. PullImage answers the image reference.
  // ListImages: the filter is a hint, containerd answers every image.
  virtual Task<Result<v1::Image>> ImageStatus(v1::ImageSpec image, Nanoseconds timeout) = 0;
  virtual Task<Result<std::string>> PullImage(v1::PullImageRequest request, Nanoseconds timeout) = 0;
  virtual Task<Result<v1::ListImagesResponse>> ListImages(v1::ImageFilter filter, Nanoseconds timeout) = 0;
  virtual Task<daemonsetd::Status> RemoveImage(v1::ImageSpec image, Nanoseconds timeout) = 0;
  virtual Task<Result<v1::ImageFsInfoResponse>> ImageFsInfo(Nanoseconds timeout) = 0;
};

}  // namespace daemonsetd::cri
