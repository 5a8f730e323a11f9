// The client against a server in the same process, over a Unix socket.
#include "cri/grpc_runtime.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "agent/async/system_timeline.h"
#include "cri.grpc.pb.h"
#include "cri/grpc_bridge.h"
#include "tests/support/loop.h"
#include "tests/support/temporary_directory.h"

#include <stdlib.h>

namespace daemonsetd::cri {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::TestLoop;

class Service final : public v1::RuntimeService::Service {
 public:
  grpc::Status Version(grpc::ServerContext* context, const v1::VersionRequest*,
                       v1::VersionResponse* response) override {
    if (hang) {
      ++hanging;
      while (hang && !context->IsCancelled()) std::this_thread::sleep_for(milliseconds(2));
      --hanging;
    }
    response->set_runtime_name(name);
    response->set_runtime_api_version("v1");
    return grpc::Status::OK;
  }

  grpc::Status RunPodSandbox(grpc::ServerContext*, const v1::RunPodSandboxRequest*,
                             v1::RunPodSandboxResponse*) override {
    return grpc::Status::OK;  // without an ID
  }

  grpc::Status CreateContainer(grpc::ServerContext*, const v1::CreateContainerRequest* request,
                               v1::CreateContainerResponse*) override {
    return grpc::Status(grpc::StatusCode::UNKNOWN, "cannot use " + request->config().envs(0).value());
  }

  grpc::Status RemoveContainer(grpc::ServerContext*, const v1::RemoveContainerRequest*,
                               v1::RemoveContainerResponse*) override {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such container");
  }

  grpc::Status GetContainerEvents(grpc::ServerContext* context, const v1::GetEventsRequest*,
                                  grpc::ServerWriter<v1::ContainerEventResponse>* writer) override {
    for (int i = 0; i < events; ++i) {
      v1::ContainerEventResponse event;
      event.set_container_id(std::to_string(i));
      if (!writer->Write(event)) return grpc::Status::OK;
    }
    while (hang && !context->IsCancelled()) std::this_thread::sleep_for(milliseconds(2));
    return grpc::Status::OK;
  }

  std::string name = "first";
  std::atomic<bool> hang = false;
  std::atomic<int> hanging = 0;
  std::atomic<int> events = 0;
};

// In gRPC 1.51 destroying the last channel of a process can abort (cri/grpc_bridge.h).
std::shared_ptr<grpc::Channel>& Pinned() {
  static auto* channel = new std::shared_ptr<grpc::Channel>(OpenChannel("unix:///nonexistent/pinned.sock"));
  return *channel;
}

class GrpcRuntimeTest : public ::testing::Test {
 protected:
  GrpcRuntimeTest() {
    Pinned();
    StartServer();
    runtime_ = std::make_unique<GrpcRuntime>(loop_.executor(), endpoint_);
  }
  ~GrpcRuntimeTest() override {
    service_.hang = false;
    runtime_.reset();
    StopServer();
  }

  void StartServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(endpoint_, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  void StopServer() {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }

  template <class T>
  T Run(Task<T> task) {
    return loop_.Run(std::move(task), TestLoop::Clock::kStands);
  }
  void WaitUntilHanging() {
    while (service_.hanging == 0) Run(timeline_.SleepFor(milliseconds(2)));
  }

  TestLoop loop_;
  async::SystemTimeline timeline_;
  const testing::TemporaryDirectory directory_;
  const std::string endpoint_ = "unix://" + (directory_.path() / "cri.sock").string();
  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<GrpcRuntime> runtime_;
};

TEST_F(GrpcRuntimeTest, AnswersComeBackOnTheLoop) {
  const auto version = Run(runtime_->Version(seconds(10)));
  ASSERT_TRUE(version) << version.error().message();
  EXPECT_EQ(version->runtime_name(), "first");
}

TEST_F(GrpcRuntimeTest, ManyCallsAtOnceAllAnswer) {
  std::vector<std::shared_ptr<testing::Started<Result<v1::VersionResponse>>>> calls;
  for (int i = 0; i < 200; ++i) calls.push_back(loop_.Start(runtime_->Version(seconds(10))));
  for (auto& call : calls) {
    loop_.RunUntil(call->ended);
    ASSERT_TRUE(call->value.has_value());
    EXPECT_TRUE(*call->value);
  }
}

TEST_F(GrpcRuntimeTest, ADeadlineEndsACall) {
  service_.hang = true;
  const auto version = Run(runtime_->Version(milliseconds(100)));
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error().kind(), ErrorKind::kTimeout);
}

TEST_F(GrpcRuntimeTest, TheEndOfEachCallIsTold) {
  std::vector<std::pair<std::string, bool>> told;
  runtime_ = std::make_unique<GrpcRuntime>(loop_.executor(), endpoint_,
                                           [&told](std::string_view method, Nanoseconds took, bool succeeded) {
                                             EXPECT_GT(took, Nanoseconds::zero());
                                             told.emplace_back(method, succeeded);
                                           });
  EXPECT_TRUE(Run(runtime_->Version(seconds(10))));
  service_.hang = true;
  EXPECT_FALSE(Run(runtime_->Version(milliseconds(100))));
  const std::vector<std::pair<std::string, bool>> expected = {{"Version", true}, {"Version", false}};
  EXPECT_EQ(told, expected);
}

TEST_F(GrpcRuntimeTest, NoTimeLeftIsADeadlineAndNotNone) {
  service_.hang = true;
  for (const Nanoseconds timeout : {Nanoseconds(0), Nanoseconds(-1), Nanoseconds(seconds(-100))}) {
    const auto version = Run(runtime_->Version(timeout));
    ASSERT_FALSE(version);
    EXPECT_EQ(version.error().kind(), ErrorKind::kTimeout) << version.error().message();
  }
}

TEST_F(GrpcRuntimeTest, ACancelledCallIsCancelledAtTheRuntimeToo) {
  service_.hang = true;
  auto call = loop_.Start(runtime_->Version(seconds(60)));
  WaitUntilHanging();
  loop_.Cancel(call);
  loop_.RunUntil(call->ended);
  ASSERT_TRUE(call->value.has_value());
  EXPECT_EQ(call->value->error().kind(), ErrorKind::kCancelled);
  while (service_.hanging > 0) Run(timeline_.SleepFor(milliseconds(2)));
}

TEST_F(GrpcRuntimeTest, CancellingACallManyTimesAndAtAnyMomentIsHarmless) {
  for (int i = 0; i < 50; ++i) {
    service_.hang = i % 2 == 0;
    auto call = loop_.Start(runtime_->Version(seconds(60)));
    for (int turns = 0; turns < i % 5; ++turns) Run(timeline_.SleepFor(milliseconds(1)));
    loop_.Cancel(call);
    loop_.Cancel(call);
    loop_.RunUntil(call->ended);
    ASSERT_TRUE(call->value.has_value());
  }
}

TEST_F(GrpcRuntimeTest, CloseCancelsWaitsAndRefusesWhatComesLater) {
  service_.hang = true;
  std::vector<std::shared_ptr<testing::Started<Result<v1::VersionResponse>>>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(loop_.Start(runtime_->Version(seconds(60))));
  auto events = loop_.Start(runtime_->ContainerEvents([](const auto&) {}));
  WaitUntilHanging();
  Run(runtime_->Close());
  loop_.Settle();
  for (auto& call : calls) {
    ASSERT_TRUE(call->done());
    EXPECT_EQ(call->value->error().kind(), ErrorKind::kCancelled);
  }
  EXPECT_TRUE(events->done());
  const auto late = Run(runtime_->Version(seconds(10)));
  EXPECT_EQ(late.error().kind(), ErrorKind::kCancelled);
}

TEST_F(GrpcRuntimeTest, DestructionWithCallsUnderWayLetsGoOfThem) {
  service_.hang = true;
  service_.events = 100;
  auto call = loop_.Start(runtime_->Version(seconds(60)));
  auto events = loop_.Start(runtime_->ContainerEvents([](const auto&) {}));
  WaitUntilHanging();
  runtime_.reset();
  loop_.RunUntil(call->ended);
  loop_.RunUntil(events->ended);
  EXPECT_EQ(call->value->error().kind(), ErrorKind::kCancelled);
}

TEST_F(GrpcRuntimeTest, AMissingRuntimeIsToRetryAndHealsByItself) {
  StopServer();
  std::filesystem::remove(directory_.path() / "cri.sock");
  auto version = Run(runtime_->Version(seconds(10)));
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error().kind(), ErrorKind::kRetry) << version.error().message();
  service_.name = "second";
  StartServer();
  const MonoTime back = timeline_.mono();
  do {
    Run(timeline_.SleepFor(milliseconds(20)));
    version = Run(runtime_->Version(seconds(10)));
  } while (!version && timeline_.mono() - back < seconds(15));
  ASSERT_TRUE(version) << version.error().message();
  EXPECT_EQ(version->runtime_name(), "second");
}

TEST_F(GrpcRuntimeTest, AnAnswerWithoutWhatWasAskedForIsAnError) {
  const auto id = Run(runtime_->RunPodSandbox(v1::RunPodSandboxRequest(), seconds(10)));
  ASSERT_FALSE(id);
  EXPECT_THAT(id.error().message(), HasSubstr("CRI RunPodSandbox: "));
}

TEST_F(GrpcRuntimeTest, ErrorsOfCreateHideEnvValues) {
  v1::CreateContainerRequest request;
  request.mutable_config()->add_envs()->set_value("a-secret-value");
  const auto id = Run(runtime_->CreateContainer(request, seconds(10)));
  ASSERT_FALSE(id);
  EXPECT_THAT(id.error().message(), ::testing::Not(HasSubstr("a-secret-value")));
}

TEST_F(GrpcRuntimeTest, RemovingWhatIsAbsentSucceeds) {  // LC-18
  EXPECT_TRUE(Run(runtime_->RemoveContainer("id", seconds(10))));
}

TEST_F(GrpcRuntimeTest, CallsThatTheRuntimeLacksAreUnsupported) {
  EXPECT_EQ(Run(runtime_->RuntimeConfig(seconds(10))).error().kind(), ErrorKind::kUnsupported);
}

TEST_F(GrpcRuntimeTest, DeliversEventsInOrderUntilTheStreamEnds) {
  service_.events = 500;
  std::vector<std::string> seen;
  const Status ended = Run(runtime_->ContainerEvents(
      [&seen](const v1::ContainerEventResponse& event) { seen.push_back(event.container_id()); }));
  EXPECT_EQ(ended.error().kind(), ErrorKind::kRetry);
  ASSERT_EQ(seen.size(), 500u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(GrpcRuntimeTest, ACancelledEventStreamDeliversNothingMore) {
  service_.events = 1000000;
  int seen = 0;
  auto events = loop_.Start(runtime_->ContainerEvents([&seen](const auto&) { ++seen; }));
  while (seen < 10) Run(timeline_.SleepFor(milliseconds(1)));
  loop_.Cancel(events);
  loop_.RunUntil(events->ended);
  EXPECT_EQ(events->value->error().kind(), ErrorKind::kCancelled);
  const int at_end = seen;
  Run(timeline_.SleepFor(milliseconds(20)));
  EXPECT_EQ(seen, at_end);
}

}  // namespace
}  // namespace daemonsetd::cri
