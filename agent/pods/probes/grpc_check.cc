#include "agent/pods/probes/grpc_check.h"

#include <memory>
#include <utility>

#include <fmt/format.h>

#include "agent/async/within_deadline.h"
#include "agent/pods/probes/user_agent.h"
#include "health.grpc.pb.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/support/channel_arguments.h>

namespace daemonsetd::pods {
namespace {

namespace health = ::grpc::health::v1;

constexpr int kMaximumAnswer = 64 * 1024;
// gRPC's own deadline is only there in case that ours never rings.
constexpr Nanoseconds kBackstop = Seconds(2);

struct CheckCall final : cri::Call {
  using Call::Call;
  health::HealthCheckRequest request;
  health::HealthCheckResponse response;
  grpc::Status status;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<health::Health::Stub> stub;
};

// Takes over a connected socket, so that connecting, its errors and its reset are those of every other probe, and so
// that nothing is shared with another channel.
std::shared_ptr<grpc::Channel> ChannelOver(boost::asio::ip::tcp::socket socket, const std::string& authority) {
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  arguments.SetUserAgentPrefix(std::string(kProbeUserAgent));
  arguments.SetMaxReceiveMessageSize(kMaximumAnswer);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomInsecureChannelFromFd(authority, socket.release(), arguments);
}

ProbeResult Judge(const CheckCall& call, const std::string& timeout) {
  const grpc::Status& status = call.status;
  switch (status.error_code()) {
    case grpc::StatusCode::OK: break;
    case grpc::StatusCode::UNIMPLEMENTED:
      return ProbeFailure(
          fmt::format("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
                      status.error_message()));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return ProbeFailure(fmt::format("timeout: health rpc did not complete within {}", timeout));
    default:
      return ProbeFailure(fmt::format("error: health rpc probe failed: {} (gRPC code {})", status.error_message(),
                                      static_cast<int>(status.error_code())));
  }
  const auto serving = call.response.status();
  if (serving == health::HealthCheckResponse::SERVING) return ProbeSuccess("service healthy");
  const std::string& name = health::HealthCheckResponse::ServingStatus_Name(serving);
  return ProbeFailure(
      fmt::format("service unhealthy (responded with \"{}\")", name.empty() ? std::to_string(serving) : name));
}

}  // namespace

struct GrpcChecker::Progress {
  bool connected = false;
};

GrpcChecker::GrpcChecker(async::Executor executor, async::Timeline& timeline, NameLookup& names)
    : timeline_(timeline), names_(names), bridge_(std::move(executor)) {}

Task<ProbeResult> GrpcChecker::Ask(GrpcCheck check, Nanoseconds timeout, std::shared_ptr<Progress> progress) {
  const std::string address = JoinHostPort(check.host, check.port);
  Result<boost::asio::ip::tcp::socket> socket = co_await Connect(&names_, check.host, check.port);
  if (!socket) {
    co_return ProbeFailure(
        fmt::format("error: failed to connect service at \"{}\": {}", address, socket.error().message()));
  }
  progress->connected = true;
  auto call = std::make_shared<CheckCall>(bridge_.executor());
  call->request.set_service(check.service);
  call->channel = ChannelOver(std::move(*socket), address);
  call->stub = health::Health::NewStub(call->channel);
  std::function<void(cri::GrpcBridge::Finish)> start = [raw = call.get()](cri::GrpcBridge::Finish finish) {
    // Kept besides, since the bridge turns it into an error of the runtime.
    raw->stub->async()->Check(&raw->context(), &raw->request, &raw->response,
                              [raw, finish = std::move(finish)](grpc::Status status) {
                                raw->status = status;
                                finish(std::move(status));
                              });
  };
  const Status ended = co_await bridge_.Run(call, "Check", std::move(start), timeout + kBackstop);
  if (!ended && ended.error().kind() == ErrorKind::kCancelled) co_return ProbeUnknown("the check was cancelled");
  co_return Judge(*call, FormatDuration(timeout));
}

Task<ProbeResult> GrpcChecker::Run(GrpcCheck check, Nanoseconds timeout) {
  auto progress = std::make_shared<Progress>();
  const std::string address = JoinHostPort(check.host, check.port);
  std::optional<ProbeResult> result =
      co_await async::WithinDeadline(&timeline_, timeline_.mono() + timeout, Ask(std::move(check), timeout, progress));
  if (result) co_return std::move(*result);
  const std::string time = FormatDuration(timeout);
  co_return progress->connected
      ? ProbeFailure(fmt::format("timeout: health rpc did not complete within {}", time))
      : ProbeFailure(fmt::format("timeout: failed to connect service \"{}\" within {}", address, time));
}

}  // namespace daemonsetd::pods
