#include <atomic>
#include <thread>

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "cri/grpc_bridge.h"
#include "health.grpc.pb.h"
#include "tests/unit/pods/probes/prober_fixture.h"

namespace daemonsetd::pods {
namespace {

namespace health = ::grpc::health::v1;
using ::testing::HasSubstr;
using Script = testing::ProbeServer::Script;

class Service final : public health::Health::Service {
 public:
  grpc::Status Check(grpc::ServerContext* context, const health::HealthCheckRequest* request,
                     health::HealthCheckResponse* response) override {
    ++checks;
    for (const auto& [name, value] : context->client_metadata()) {
      if (name == "user-agent") user_agent = std::string(value.data(), value.size());
    }
    while (hang && !context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (request->service() == "unknown") return grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown service");
    if (request->service() == "none") return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "unknown method Check");
    response->set_status(request->service() == "bad" ? health::HealthCheckResponse::NOT_SERVING
                                                     : health::HealthCheckResponse::SERVING);
    return grpc::Status::OK;
  }
  std::atomic<int> checks = 0;
  std::atomic<bool> hang = false;
  std::string user_agent;
};

// In gRPC 1.51 destroying the last channel of a process can abort (cri/grpc_bridge.h).
void PinChannel() {
  static auto* channel = new std::shared_ptr<grpc::Channel>(cri::OpenChannel("unix:///nonexistent/pinned.sock"));
  (void)channel;
}

class GrpcProbe : public ProberTest {
 protected:
  GrpcProbe() { PinChannel(); }
  ~GrpcProbe() override {
    service_.hang = false;
    if (grpc_server_) grpc_server_->Shutdown(std::chrono::system_clock::now());
  }
  void Listen() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    grpc_server_ = builder.BuildAndStart();
    ASSERT_NE(grpc_server_, nullptr);
  }
  corev1::ProbeHandler Grpc(const std::string& service = "") {
    corev1::ProbeHandler handler;
    handler.mutable_grpc()->set_port(port_);
    handler.mutable_grpc()->set_service(service);
    return handler;
  }

  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> grpc_server_;
};

TEST_F(GrpcProbe, ServingIsSuccess) {
  Listen();
  for (int i = 0; i < 3; ++i) {
    const ProbeResult result = Run(Grpc());
    EXPECT_EQ(result.verdict, ProbeVerdict::kSuccess) << result.output;
    EXPECT_EQ(result.output, "service healthy");
  }
  EXPECT_THAT(service_.user_agent, ::testing::StartsWith("kube-probe/1.37"));
}

TEST_F(GrpcProbe, AnyOtherAnswerIsAFailure) {
  Listen();
  ProbeResult result = Run(Grpc("bad"));
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(result.output, "service unhealthy (responded with \"NOT_SERVING\")");
  result = Run(Grpc("unknown"));
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(result.output, HasSubstr("error: health rpc probe failed: unknown service"));
  result = Run(Grpc("none"));
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(result.output, HasSubstr("this server does not implement the grpc health protocol"));
}

TEST_F(GrpcProbe, AServerThatIsNotThereRefuses) {
  Serve(Script{});
  port_ = server_->port();
  server_.reset();
  loop_.Settle();
  const ProbeResult result = Run(Grpc());
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(result.output, HasSubstr("connection refused"));
}

TEST_F(GrpcProbe, AServerThatSpeaksSomethingElseIsAFailure) {
  Serve(Response(200));
  port_ = server_->port();
  EXPECT_EQ(Run(Grpc()).verdict, ProbeVerdict::kFailure);
}

TEST_F(GrpcProbe, ASilentServiceIsATimeout) {
  Listen();
  service_.hang = true;
  auto run = loop_.Start(prober_.Run(Grpc(), target_, Seconds(1)));
  WaitFor([&] { return service_.checks == 1; });
  EXPECT_FALSE(run->done());
  loop_.Advance(Seconds(1));
  loop_.RunUntil(run->ended);
  EXPECT_EQ(run->value->verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(run->value->output, "timeout: health rpc did not complete within 1s");
}

TEST_F(GrpcProbe, ACancelledOneThrows) {
  Listen();
  service_.hang = true;
  auto run = loop_.Start(prober_.Run(Grpc(), target_, Seconds(1)));
  WaitFor([&] { return service_.checks == 1; });
  loop_.Cancel(run);
  loop_.RunUntil(run->ended);
  EXPECT_TRUE(run->threw());
}

}  // namespace
}  // namespace daemonsetd::pods
