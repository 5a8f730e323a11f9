// Container runtimes without containers, for many agents on one machine.
//
//   hollow_runtime DIRECTORY COUNT [--start-delay MILLISECONDS]
//
// Serves CRI v1 on DIRECTORY/node-0001/cri.sock to node-COUNT, each with a FakeRuntime of its own: pods and containers
// are entries in memory, and every image can be pulled. --start-delay: how long the start of a container takes. Prints
// one line when all sockets are there, and ends on SIGTERM or SIGINT.
#include <grpcpp/grpcpp.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "agent/async/system_timeline.h"
#include "cri.grpc.pb.h"
#include "tests/support/fake_runtime.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace daemonsetd::testing {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

constexpr int kMaxNodes = 9999;
constexpr Nanoseconds kForever = std::chrono::hours(1);  // the caller's own deadline comes earlier

grpc::StatusCode CodeOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kAbsent: return grpc::StatusCode::NOT_FOUND;
    case ErrorKind::kExists: return grpc::StatusCode::ALREADY_EXISTS;
    case ErrorKind::kTimeout: return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorKind::kUnsupported: return grpc::StatusCode::UNIMPLEMENTED;
    case ErrorKind::kCancelled: return grpc::StatusCode::CANCELLED;
    case ErrorKind::kDenied: return grpc::StatusCode::PERMISSION_DENIED;
    case ErrorKind::kInvalid: return grpc::StatusCode::INVALID_ARGUMENT;
    default: return grpc::StatusCode::UNKNOWN;
  }
}

// The fake words errors as the client does, which will put "CRI <method>: " in front once more.
grpc::Status ToGrpc(const Error& error) {
  const std::string& text = error.message();
  const std::size_t end = text.find(": ");
  return {CodeOf(error.kind()), end == std::string::npos ? text : text.substr(end + 2)};
}

// A runtime and its calls. They come in on gRPC's threads and are carried out on the loop, where the fake lives.
class HollowRuntime {
 public:
  HollowRuntime(async::Executor executor, async::Timeline& timeline)
      : executor_(std::move(executor)), fake_(executor_, timeline) {}

  FakeRuntime& fake() { return fake_; }
  const async::Executor& executor() const { return executor_; }

  // `fill` puts the answer into the response.
  template <class T, class Fill>
  Reactor* Ask(Context* context, Task<Result<T>> call, Fill fill) {
    Reactor* reactor = context->DefaultReactor();
    boost::asio::co_spawn(executor_, CarryOut(std::move(call), std::move(fill), reactor), boost::asio::detached);
    return reactor;
  }

  // The answer is the response.
  template <class T>
  Reactor* Ask(Context* context, Task<Result<T>> call, T* response) {
    return Ask(context, std::move(call), [response](T answer) { *response = std::move(answer); });
  }

  Reactor* Tell(Context* context, Task<daemonsetd::Status> call) {
    Reactor* reactor = context->DefaultReactor();
    boost::asio::co_spawn(executor_, CarryOut(std::move(call), reactor), boost::asio::detached);
    return reactor;
  }

 private:
  template <class T, class Fill>
  Task<void> CarryOut(Task<Result<T>> call, Fill fill, Reactor* reactor) {
    Result<T> answer = co_await std::move(call);
    fake_.ClearCalls();  // nobody looks at them, and they would grow for ever
    if (answer) fill(std::move(*answer));
    reactor->Finish(answer ? grpc::Status::OK : ToGrpc(answer.error()));
  }

  Task<void> CarryOut(Task<daemonsetd::Status> call, Reactor* reactor) {
    const daemonsetd::Status status = co_await std::move(call);
    fake_.ClearCalls();
    reactor->Finish(status ? grpc::Status::OK : ToGrpc(status.error()));
  }

  async::Executor executor_;
  FakeRuntime fake_;
};

// One stream of events. gRPC's reactions only post to the loop, in order, so the last of them may delete it there.
class EventWriter final : public grpc::ServerWriteReactor<v1::ContainerEventResponse> {
 public:
  explicit EventWriter(HollowRuntime& runtime) : runtime_(runtime), executor_(runtime.executor()) {
    boost::asio::post(executor_, [this] {
      boost::asio::co_spawn(executor_, Follow(),
                            boost::asio::bind_cancellation_slot(gone_.slot(), boost::asio::detached));
    });
  }

  void OnWriteDone(bool) override {
    boost::asio::post(executor_, [this] {
      events_.pop_front();
      Go();
    });
  }

  void OnCancel() override {
    boost::asio::post(executor_, [this] { gone_.emit(boost::asio::cancellation_type::terminal); });
  }

  void OnDone() override {
    boost::asio::post(executor_, [this] { delete this; });
  }

 private:
  Task<void> Follow() {
    const daemonsetd::Status ended =
        co_await runtime_.fake().ContainerEvents([this](const v1::ContainerEventResponse& event) {
          events_.push_back(event);
          if (events_.size() == 1) Go();
        });
    end_ = ToGrpc(ended.error());
    if (events_.empty()) Go();
  }

  // The next write, or the end when there is nothing more.
  void Go() {
    if (!events_.empty()) {
      StartWrite(&events_.front());
    } else if (end_) {
      Finish(*std::exchange(end_, std::nullopt));
    }
  }

  HollowRuntime& runtime_;
  async::Executor executor_;
  boost::asio::cancellation_signal gone_;
  std::deque<v1::ContainerEventResponse> events_;  // the first one is being written
  std::optional<grpc::Status> end_;
};

class RuntimeService final : public v1::RuntimeService::CallbackService {
 public:
  explicit RuntimeService(HollowRuntime& runtime) : runtime_(runtime), fake_(runtime.fake()) {}

  Reactor* Version(Context* context, const v1::VersionRequest*, v1::VersionResponse* response) override {
    return runtime_.Ask(context, fake_.Version(kForever), response);
  }
  Reactor* Status(Context* context, const v1::StatusRequest* request, v1::StatusResponse* response) override {
    return runtime_.Ask(context, fake_.Status(request->verbose(), kForever), response);
  }
  Reactor* RuntimeConfig(Context* context, const v1::RuntimeConfigRequest*,
                         v1::RuntimeConfigResponse* response) override {
    return runtime_.Ask(context, fake_.RuntimeConfig(kForever), response);
  }

  Reactor* RunPodSandbox(Context* context, const v1::RunPodSandboxRequest* request,
                         v1::RunPodSandboxResponse* response) override {
    return runtime_.Ask(context, fake_.RunPodSandbox(*request, kForever),
                        [response](std::string id) { response->set_pod_sandbox_id(std::move(id)); });
  }
  Reactor* StopPodSandbox(Context* context, const v1::StopPodSandboxRequest* request,
                          v1::StopPodSandboxResponse*) override {
    return runtime_.Tell(context, fake_.StopPodSandbox(request->pod_sandbox_id(), kForever));
  }
  Reactor* RemovePodSandbox(Context* context, const v1::RemovePodSandboxRequest* request,
                            v1::RemovePodSandboxResponse*) override {
    return runtime_.Tell(context, fake_.RemovePodSandbox(request->pod_sandbox_id(), kForever));
  }
  Reactor* PodSandboxStatus(Context* context, const v1::PodSandboxStatusRequest* request,
                            v1::PodSandboxStatusResponse* response) override {
    return runtime_.Ask(context, fake_.PodSandboxStatus(request->pod_sandbox_id(), request->verbose(), kForever),
                        response);
  }
  Reactor* ListPodSandbox(Context* context, const v1::ListPodSandboxRequest* request,
                          v1::ListPodSandboxResponse* response) override {
    return runtime_.Ask(context, fake_.ListPodSandbox(request->filter(), kForever), response);
  }

  Reactor* CreateContainer(Context* context, const v1::CreateContainerRequest* request,
                           v1::CreateContainerResponse* response) override {
    return runtime_.Ask(context, fake_.CreateContainer(*request, kForever),
                        [response](std::string id) { response->set_container_id(std::move(id)); });
  }
  Reactor* StartContainer(Context* context, const v1::StartContainerRequest* request,
                          v1::StartContainerResponse*) override {
    return runtime_.Tell(context, fake_.StartContainer(request->container_id(), kForever));
  }
  Reactor* StopContainer(Context* context, const v1::StopContainerRequest* request,
                         v1::StopContainerResponse*) override {
    return runtime_.Tell(context, fake_.StopContainer(request->container_id(), Seconds(request->timeout()), kForever));
  }
  Reactor* RemoveContainer(Context* context, const v1::RemoveContainerRequest* request,
                           v1::RemoveContainerResponse*) override {
    return runtime_.Tell(context, fake_.RemoveContainer(request->container_id(), kForever));
  }
  Reactor* ListContainers(Context* context, const v1::ListContainersRequest* request,
                          v1::ListContainersResponse* response) override {
    return runtime_.Ask(context, fake_.ListContainers(request->filter(), kForever), response);
  }
  Reactor* ContainerStatus(Context* context, const v1::ContainerStatusRequest* request,
                           v1::ContainerStatusResponse* response) override {
    return runtime_.Ask(context, fake_.ContainerStatus(request->container_id(), request->verbose(), kForever),
                        response);
  }
  Reactor* UpdateContainerResources(Context* context, const v1::UpdateContainerResourcesRequest* request,
                                    v1::UpdateContainerResourcesResponse*) override {
    return runtime_.Tell(context, fake_.UpdateContainerResources(*request, kForever));
  }
  Reactor* ReopenContainerLog(Context* context, const v1::ReopenContainerLogRequest* request,
                              v1::ReopenContainerLogResponse*) override {
    return runtime_.Tell(context, fake_.ReopenContainerLog(request->container_id(), kForever));
  }
  Reactor* ExecSync(Context* context, const v1::ExecSyncRequest* request, v1::ExecSyncResponse* response) override {
    return runtime_.Ask(context, fake_.ExecSync(*request, kForever), response);
  }
  Reactor* ListContainerStats(Context* context, const v1::ListContainerStatsRequest* request,
                              v1::ListContainerStatsResponse* response) override {
    return runtime_.Ask(context, fake_.ListContainerStats(request->filter(), kForever), response);
  }
  grpc::ServerWriteReactor<v1::ContainerEventResponse>* GetContainerEvents(Context*,
                                                                           const v1::GetEventsRequest*) override {
    return new EventWriter(runtime_);
  }

 private:
  HollowRuntime& runtime_;
  FakeRuntime& fake_;
};

class ImageService final : public v1::ImageService::CallbackService {
 public:
  explicit ImageService(HollowRuntime& runtime) : runtime_(runtime), fake_(runtime.fake()) {}

  Reactor* ImageStatus(Context* context, const v1::ImageStatusRequest* request,
                       v1::ImageStatusResponse* response) override {
    return runtime_.Ask(context, fake_.ImageStatus(request->image(), kForever),
                        [response](v1::Image image) { *response->mutable_image() = std::move(image); });
  }
  Reactor* PullImage(Context* context, const v1::PullImageRequest* request, v1::PullImageResponse* response) override {
    return runtime_.Ask(context, Pull(*request),
                        [response](std::string reference) { response->set_image_ref(std::move(reference)); });
  }
  Reactor* ListImages(Context* context, const v1::ListImagesRequest* request,
                      v1::ListImagesResponse* response) override {
    return runtime_.Ask(context, fake_.ListImages(request->filter(), kForever), response);
  }
  Reactor* RemoveImage(Context* context, const v1::RemoveImageRequest* request, v1::RemoveImageResponse*) override {
    return runtime_.Tell(context, fake_.RemoveImage(request->image(), kForever));
  }
  Reactor* ImageFsInfo(Context* context, const v1::ImageFsInfoRequest*, v1::ImageFsInfoResponse* response) override {
    return runtime_.Ask(context, fake_.ImageFsInfo(kForever), response);
  }

 private:
  Task<Result<std::string>> Pull(v1::PullImageRequest request) {
    fake_.SetPull(request.image().image(), PullAnswer{});
    co_return co_await fake_.PullImage(std::move(request), kForever);
  }

  HollowRuntime& runtime_;
  FakeRuntime& fake_;
};

struct Node {
  Node(const async::Executor& executor, async::Timeline& timeline)
      : runtime(executor, timeline), runtime_service(runtime), image_service(runtime) {}

  // False when it cannot listen there.
  bool Listen(const std::string& socket) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    builder.RegisterService(&runtime_service);
    builder.RegisterService(&image_service);
    server = builder.BuildAndStart();
    return server != nullptr;
  }

  HollowRuntime runtime;
  RuntimeService runtime_service;
  ImageService image_service;
  std::unique_ptr<grpc::Server> server;
};

int Run(const std::filesystem::path& directory, int count, Milliseconds start_delay) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread: this one waits for them

  boost::asio::io_context context;
  async::SystemTimeline timeline;
  std::vector<std::unique_ptr<Node>> nodes;
  for (int number = 1; number <= count; ++number) {
    char name[16];
    std::snprintf(name, sizeof(name), "node-%04d", number);
    std::filesystem::create_directories(directory / name);
    Node& node = *nodes.emplace_back(std::make_unique<Node>(context.get_executor(), timeline));
    node.runtime.fake().Inject("StartContainer", Fault::Delay(start_delay), std::numeric_limits<int>::max());
    if (!node.Listen(directory / name / "cri.sock")) {
      std::cerr << "hollow_runtime: cannot listen on " << (directory / name / "cri.sock").native() << "\n";
      return 1;
    }
  }
  auto work = boost::asio::make_work_guard(context);
  std::thread loop([&context] { context.run(); });
  std::cout << count << " runtimes listen below " << directory.native() << std::endl;

  int signal = 0;
  sigwait(&signals, &signal);
  // Each waits for its calls under way, which the loop ends.
  for (const auto& node : nodes) node->server->Shutdown(std::chrono::system_clock::now());
  work.reset();
  loop.join();
  return 0;
}

std::optional<int> ParseNumber(std::string_view text, int least, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most) return std::nullopt;
  return number;
}

}  // namespace
}  // namespace daemonsetd::testing

int main(int count, char** arguments) {
  using daemonsetd::testing::ParseNumber;
  const bool delayed = count == 5 && std::string_view(arguments[3]) == "--start-delay";
  const auto nodes = count >= 3 ? ParseNumber(arguments[2], 1, daemonsetd::testing::kMaxNodes) : std::nullopt;
  const auto delay = delayed ? ParseNumber(arguments[4], 0, 600'000) : std::optional<int>(0);
  if ((count != 3 && !delayed) || !nodes || !delay) {
    std::cerr << "usage: hollow_runtime DIRECTORY COUNT [--start-delay MILLISECONDS]\n";
    return 2;
  }
  return daemonsetd::testing::Run(arguments[1], *nodes, daemonsetd::Milliseconds(*delay));
}
