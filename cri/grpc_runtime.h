// The CRI client for a real container runtime.
#pragma once

#include <memory>
#include <string>

#include "cri/call_observer.h"
#include "cri/runtime.h"

namespace daemonsetd::cri {

class GrpcRuntime final : public Runtime {
 public:
  // `endpoint`: "unix:///run/containerd/containerd.sock". Connects on first use; while the runtime is down calls fail
  // with kRetry, and once it is back they work again by themselves. One object for the life of the process.
  GrpcRuntime(async::Executor executor, const std::string& endpoint, CallObserver observer = nullptr);
  // Blocks until gRPC has let go of calls under way; Close() first.
  ~GrpcRuntime() override;

  // Refuses new calls with kCancelled, cancels those under way and completes when they have ended.
  Task<void> Close();

  Task<Result<v1::VersionResponse>> Version(Nanoseconds timeout) override;
  Task<Result<v1::StatusResponse>> Status(bool verbose, Nanoseconds timeout) override;
  Task<Result<v1::RuntimeConfigResponse>> RuntimeConfig(Nanoseconds timeout) override;

  Task<Result<std::string>> RunPodSandbox(v1::RunPodSandboxRequest request, Nanoseconds timeout) override;
  Task<daemonsetd::Status> StopPodSandbox(std::string sandbox_id, Nanoseconds timeout) override;
  Task<daemonsetd::Status> RemovePodSandbox(std::string sandbox_id, Nanoseconds timeout) override;
  Task<Result<v1::PodSandboxStatusResponse>> PodSandboxStatus(std::string sandbox_id, bool verbose,
                                                              Nanoseconds timeout) override;
  Task<Result<v1::ListPodSandboxResponse>> ListPodSandbox(v1::PodSandboxFilter filter, Nanoseconds timeout) override;

  Task<Result<std::string>> CreateContainer(v1::CreateContainerRequest request, Nanoseconds timeout) override;
  Task<daemonsetd::Status> StartContainer(std::string container_id, Nanoseconds timeout) override;
  Task<daemonsetd::Status> StopContainer(std::string container_id, Seconds grace, Nanoseconds timeout) override;
  Task<daemonsetd::Status> RemoveContainer(std::string container_id, Nanoseconds timeout) override;
  Task<Result<v1::ListContainersResponse>> ListContainers(v1::ContainerFilter filter, Nanoseconds timeout) override;
  Task<Result<v1::ContainerStatusResponse>> ContainerStatus(std::string container_id, bool verbose,
                                                            Nanoseconds timeout) override;
  Task<daemonsetd::Status> UpdateContainerResources(v1::UpdateContainerResourcesRequest request,
                                                    Nanoseconds timeout) override;
  Task<daemonsetd::Status> ReopenContainerLog(std::string container_id, Nanoseconds timeout) override;
  Task<Result<v1::ExecSyncResponse>> ExecSync(v1::ExecSyncRequest request, Nanoseconds timeout) override;
  Task<Result<v1::ListContainerStatsResponse>> ListContainerStats(v1::ContainerStatsFilter filter,
                                                                  Nanoseconds timeout) override;

  Task<daemonsetd::Status> ContainerEvents(EventHandler on_event) override;

  Task<Result<v1::Image>> ImageStatus(v1::ImageSpec image, Nanoseconds timeout) override;
  Task<Result<std::string>> PullImage(v1::PullImageRequest request, Nanoseconds timeout) override;
  Task<Result<v1::ListImagesResponse>> ListImages(v1::ImageFilter filter, Nanoseconds timeout) override;
  Task<daemonsetd::Status> RemoveImage(v1::ImageSpec image, Nanoseconds timeout) override;
  Task<Result<v1::ImageFsInfoResponse>> ImageFsInfo(Nanoseconds timeout) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace daemonsetd::cri
