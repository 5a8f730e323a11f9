#include "cri/grpc_runtime.h"

#include <optional>
#include <utility>

#include "cri.grpc.pb.h"
#include "cri/error_mapping.h"
#include "cri/event_stream.h"
#include "cri/grpc_bridge.h"

namespace daemonsetd::cri {
namespace {

using RuntimeService = v1::RuntimeService::StubInterface::async_interface;
using ImageService = v1::ImageService::StubInterface::async_interface;

template <class Service, class Request, class Response>
using Method = void (Service::*)(grpc::ClientContext*, const Request*, Response*, std::function<void(grpc::Status)>);

template <class Request, class Response>
struct UnaryCall final : Call {
  using Call::Call;
  Request request;
  Response response;
};

// The one way of a call to the runtime and back.
template <class Service, class Request, class Response>
Task<Result<Response>> Ask(GrpcBridge* bridge, Service* service, const char* name,
                           Method<Service, Request, Response> method, Request request, Nanoseconds timeout) {
  auto call = std::make_shared<UnaryCall<Request, Response>>(bridge->executor());
  call->request = std::move(request);
  std::function<void(GrpcBridge::Finish)> start = [service, method, raw = call.get()](GrpcBridge::Finish finish) {
    (service->*method)(&raw->context(), &raw->request, &raw->response, std::move(finish));
  };
  const daemonsetd::Status status = co_await bridge->Run(call, name, std::move(start), timeout);
  if (!status) co_return status.error();
  co_return std::move(call->response);
}

template <class Service, class Request, class Response>
Task<daemonsetd::Status> Tell(GrpcBridge* bridge, Service* service, const char* name,
                              Method<Service, Request, Response> method, Request request, Nanoseconds timeout) {
  const auto response = co_await Ask(bridge, service, name, method, std::move(request), timeout);
  if (!response) co_return response.error();
  co_return Ok();
}

Task<daemonsetd::Status> WithAbsentAsSuccess(Task<daemonsetd::Status> call) {
  co_return AbsentIsSuccess(co_await std::move(call));
}

}  // namespace

struct GrpcRuntime::Impl {
  Impl(async::Executor executor, const std::string& endpoint, CallObserver observer)
      : channel(OpenChannel(endpoint)),
        runtime_stub(v1::RuntimeService::NewStub(channel)),
        image_stub(v1::ImageService::NewStub(channel)),
        runtime(runtime_stub->async()),
        images(image_stub->async()),
        bridge(std::move(executor), std::move(observer)) {}

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::RuntimeService::Stub> runtime_stub;
  std::unique_ptr<v1::ImageService::Stub> image_stub;
  RuntimeService* runtime;
  ImageService* images;
  GrpcBridge bridge;
};

GrpcRuntime::GrpcRuntime(async::Executor executor, const std::string& endpoint, CallObserver observer)
    : impl_(std::make_unique<Impl>(std::move(executor), endpoint, std::move(observer))) {}

GrpcRuntime::~GrpcRuntime() = default;

Task<void> GrpcRuntime::Close() { return impl_->bridge.CancelAndDrain(); }

Task<Result<v1::VersionResponse>> GrpcRuntime::Version(Nanoseconds timeout) {
  v1::VersionRequest request;
  request.set_version("v1");
  return Ask(&impl_->bridge, impl_->runtime, "Version", &RuntimeService::Version, std::move(request), timeout);
}

Task<Result<v1::StatusResponse>> GrpcRuntime::Status(bool verbose, Nanoseconds timeout) {
  v1::StatusRequest request;
  request.set_verbose(verbose);
  return Ask(&impl_->bridge, impl_->runtime, "Status", &RuntimeService::Status, std::move(request), timeout);
}

Task<Result<v1::RuntimeConfigResponse>> GrpcRuntime::RuntimeConfig(Nanoseconds timeout) {
  return Ask(&impl_->bridge, impl_->runtime, "RuntimeConfig", &RuntimeService::RuntimeConfig,
             v1::RuntimeConfigRequest(), timeout);
}

Task<Result<std::string>> GrpcRuntime::RunPodSandbox(v1::RunPodSandboxRequest request, Nanoseconds timeout) {
  auto response = co_await Ask(&impl_->bridge, impl_->runtime, "RunPodSandbox", &RuntimeService::RunPodSandbox,
                               std::move(request), timeout);
  if (!response) co_return response.error();
  if (response->pod_sandbox_id().empty()) co_return IncompleteAnswer("RunPodSandbox", "a sandbox ID");
  co_return std::move(*response->mutable_pod_sandbox_id());
}

Task<daemonsetd::Status> GrpcRuntime::StopPodSandbox(std::string sandbox_id, Nanoseconds timeout) {
  v1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(std::move(sandbox_id));
  return WithAbsentAsSuccess(Tell(&impl_->bridge, impl_->runtime, "StopPodSandbox", &RuntimeService::StopPodSandbox,
                                  std::move(request), timeout));
}

Task<daemonsetd::Status> GrpcRuntime::RemovePodSandbox(std::string sandbox_id, Nanoseconds timeout) {
  v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(std::move(sandbox_id));
  return WithAbsentAsSuccess(Tell(&impl_->bridge, impl_->runtime, "RemovePodSandbox", &RuntimeService::RemovePodSandbox,
                                  std::move(request), timeout));
}

Task<Result<v1::PodSandboxStatusResponse>> GrpcRuntime::PodSandboxStatus(std::string sandbox_id, bool verbose,
                                                                         Nanoseconds timeout) {
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(std::move(sandbox_id));
  request.set_verbose(verbose);
  auto response = co_await Ask(&impl_->bridge, impl_->runtime, "PodSandboxStatus", &RuntimeService::PodSandboxStatus,
                               std::move(request), timeout);
  if (response && !response->has_status()) co_return IncompleteAnswer("PodSandboxStatus", "a status");
  co_return response;
}

Task<Result<v1::ListPodSandboxResponse>> GrpcRuntime::ListPodSandbox(v1::PodSandboxFilter filter, Nanoseconds timeout) {
  v1::ListPodSandboxRequest request;
  *request.mutable_filter() = std::move(filter);
  return Ask(&impl_->bridge, impl_->runtime, "ListPodSandbox", &RuntimeService::ListPodSandbox, std::move(request),
             timeout);
}

Task<Result<std::string>> GrpcRuntime::CreateContainer(v1::CreateContainerRequest request, Nanoseconds timeout) {
  const v1::ContainerConfig config = request.config();
  auto response = co_await Ask(&impl_->bridge, impl_->runtime, "CreateContainer", &RuntimeService::CreateContainer,
                               std::move(request), timeout);
  if (!response) co_return WithoutEnvValues(response.error(), config);
  if (response->container_id().empty()) co_return IncompleteAnswer("CreateContainer", "a container ID");
  co_return std::move(*response->mutable_container_id());
}

Task<daemonsetd::Status> GrpcRuntime::StartContainer(std::string container_id, Nanoseconds timeout) {
  v1::StartContainerRequest request;
  request.set_container_id(std::move(container_id));
  return Tell(&impl_->bridge, impl_->runtime, "StartContainer", &RuntimeService::StartContainer, std::move(request),
              timeout);
}

Task<daemonsetd::Status> GrpcRuntime::StopContainer(std::string container_id, Seconds grace, Nanoseconds timeout) {
  v1::StopContainerRequest request;
  request.set_container_id(std::move(container_id));
  request.set_timeout(grace.count());
  return WithAbsentAsSuccess(Tell(&impl_->bridge, impl_->runtime, "StopContainer", &RuntimeService::StopContainer,
                                  std::move(request), timeout));
}

Task<daemonsetd::Status> GrpcRuntime::RemoveContainer(std::string container_id, Nanoseconds timeout) {
  v1::RemoveContainerRequest request;
  request.set_container_id(std::move(container_id));
  return WithAbsentAsSuccess(Tell(&impl_->bridge, impl_->runtime, "RemoveContainer", &RuntimeService::RemoveContainer,
                                  std::move(request), timeout));
}

Task<Result<v1::ListContainersResponse>> GrpcRuntime::ListContainers(v1::ContainerFilter filter, Nanoseconds timeout) {
  v1::ListContainersRequest request;
  *request.mutable_filter() = std::move(filter);
  return Ask(&impl_->bridge, impl_->runtime, "ListContainers", &RuntimeService::ListContainers, std::move(request),
             timeout);
}

Task<Result<v1::ContainerStatusResponse>> GrpcRuntime::ContainerStatus(std::string container_id, bool verbose,
                                                                       Nanoseconds timeout) {
  v1::ContainerStatusRequest request;
  request.set_container_id(std::move(container_id));
  request.set_verbose(verbose);
  auto response = co_await Ask(&impl_->bridge, impl_->runtime, "ContainerStatus", &RuntimeService::ContainerStatus,
                               std::move(request), timeout);
  if (response && !response->has_status()) co_return IncompleteAnswer("ContainerStatus", "a status");
  co_return response;
}

Task<daemonsetd::Status> GrpcRuntime::UpdateContainerResources(v1::UpdateContainerResourcesRequest request,
                                                               Nanoseconds timeout) {
  return Tell(&impl_->bridge, impl_->runtime, "UpdateContainerResources", &RuntimeService::UpdateContainerResources,
              std::move(request), timeout);
}

Task<daemonsetd::Status> GrpcRuntime::ReopenContainerLog(std::string container_id, Nanoseconds timeout) {
  v1::ReopenContainerLogRequest request;
  request.set_container_id(std::move(container_id));
  return Tell(&impl_->bridge, impl_->runtime, "ReopenContainerLog", &RuntimeService::ReopenContainerLog,
              std::move(request), timeout);
}

Task<Result<v1::ExecSyncResponse>> GrpcRuntime::ExecSync(v1::ExecSyncRequest request, Nanoseconds timeout) {
  return Ask(&impl_->bridge, impl_->runtime, "ExecSync", &RuntimeService::ExecSync, std::move(request), timeout);
}

Task<Result<v1::ListContainerStatsResponse>> GrpcRuntime::ListContainerStats(v1::ContainerStatsFilter filter,
                                                                             Nanoseconds timeout) {
  v1::ListContainerStatsRequest request;
  *request.mutable_filter() = std::move(filter);
  return Ask(&impl_->bridge, impl_->runtime, "ListContainerStats", &RuntimeService::ListContainerStats,
             std::move(request), timeout);
}

Task<daemonsetd::Status> GrpcRuntime::ContainerEvents(EventHandler on_event) {
  auto stream = std::make_shared<EventStream>(impl_->bridge.executor(), std::move(on_event));
  std::function<void(GrpcBridge::Finish)> start = [this, stream](GrpcBridge::Finish finish) {
    stream->Start(*impl_->runtime, std::move(finish));
  };
  const daemonsetd::Status status =
      co_await impl_->bridge.Run(stream, "GetContainerEvents", std::move(start), std::nullopt);
  stream->Stop();
  if (!status) co_return status.error();
  co_return Error(ErrorKind::kRetry, "CRI GetContainerEvents: the runtime ended the stream");
}

Task<Result<v1::Image>> GrpcRuntime::ImageStatus(v1::ImageSpec image, Nanoseconds timeout) {
  const std::string name = image.image();
  v1::ImageStatusRequest request;
  *request.mutable_image() = std::move(image);
  auto response = co_await Ask(&impl_->bridge, impl_->images, "ImageStatus", &ImageService::ImageStatus,
                               std::move(request), timeout);
  if (!response) co_return response.error();
  co_return ImageOf(std::move(*response), name);
}

Task<Result<std::string>> GrpcRuntime::PullImage(v1::PullImageRequest request, Nanoseconds timeout) {
  auto response =
      co_await Ask(&impl_->bridge, impl_->images, "PullImage", &ImageService::PullImage, std::move(request), timeout);
  if (!response) co_return response.error();
  if (response->image_ref().empty()) co_return IncompleteAnswer("PullImage", "an image reference");
  co_return std::move(*response->mutable_image_ref());
}

Task<Result<v1::ListImagesResponse>> GrpcRuntime::ListImages(v1::ImageFilter filter, Nanoseconds timeout) {
  v1::ListImagesRequest request;
  *request.mutable_filter() = std::move(filter);
  return Ask(&impl_->bridge, impl_->images, "ListImages", &ImageService::ListImages, std::move(request), timeout);
}

Task<daemonsetd::Status> GrpcRuntime::RemoveImage(v1::ImageSpec image, Nanoseconds timeout) {
  v1::RemoveImageRequest request;
  *request.mutable_image() = std::move(image);
  return WithAbsentAsSuccess(
      Tell(&impl_->bridge, impl_->images, "RemoveImage", &ImageService::RemoveImage, std::move(request), timeout));
}

Task<Result<v1::ImageFsInfoResponse>> GrpcRuntime::ImageFsInfo(Nanoseconds timeout) {
  return Ask(&impl_->bridge, impl_->images, "ImageFsInfo", &ImageService::ImageFsInfo, v1::ImageFsInfoRequest(),
             timeout);
}

}  // namespace daemonsetd::cri
