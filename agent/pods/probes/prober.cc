#include "agent/pods/probes/prober.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "agent/async/within_deadline.h"
#include "agent/pods/probes/user_agent.h"

namespace daemonsetd::pods {
namespace {

constexpr std::int64_t kText = 1;  // IntOrString.type: 0 is a number, 1 a text
constexpr std::uint16_t kDefaultHookPort = 80;

bool IsUnset(const intstrv1::IntOrString& port) {
  return port.type() == kText ? port.strval().empty() : port.intval() == 0;
}

// Nobody may be asked: without a host a connection would go to this machine itself.
Result<std::string> HostOf(const std::string& named, const ProbeTarget& target) {
  if (!named.empty()) return named;
  if (!target.pod_ip.empty()) return target.pod_ip;
  return Error(ErrorKind::kRetry, fmt::format("pod {}/{} has no IP address yet", target.namespace_, target.pod_name));
}

Task<ProbeResult> ConnectOnce(NameLookup* names, std::string host, std::uint16_t port) {
  const auto socket = co_await Connect(names, std::move(host), port);
  if (!socket) co_return ProbeFailure(socket.error().message());
  co_return ProbeSuccess("connected");
}

Task<ProbeResult> SleepOnce(async::Timeline* timeline, Nanoseconds duration) {
  co_await timeline->SleepFor(duration);
  co_return ProbeSuccess(fmt::format("slept {}", FormatDuration(duration)));
}

}  // namespace

Result<std::uint16_t> ResolvePort(const intstrv1::IntOrString& port, const corev1::Container& container) {
  std::int64_t number = port.intval();
  if (port.type() == kText) {
    const std::string& name = port.strval();
    const auto named = std::find_if(container.ports().begin(), container.ports().end(),
                                    [&](const corev1::ContainerPort& each) { return each.name() == name; });
    if (named != container.ports().end() && !name.empty()) {
      number = named->containerport();
    } else if (const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
               error != std::errc() || end != name.data() + name.size()) {
      return Error(ErrorKind::kInvalid, fmt::format("container {} has no port named \"{}\"", container.name(), name));
    }
  }
  if (number < 1 || number > 65535) return Error(ErrorKind::kInvalid, fmt::format("invalid port number: {}", number));
  return static_cast<std::uint16_t>(number);
}

Prober::Prober(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool, cri::Runtime& runtime,
               const ProcessTable& processes)
    : timeline_(timeline),
      names_(executor, pool),
      exec_(runtime, timeline, pool, processes),
      http_(timeline, names_),
      grpc_(std::move(executor), timeline, names_) {}

Task<ProbeResult> Prober::Run(corev1::ProbeHandler handler, ProbeTarget target, Nanoseconds timeout) {
  if (handler.has_exec()) co_return co_await Exec(handler.exec(), std::move(target), timeout);
  if (handler.has_httpget()) {
    co_return co_await Get(handler.httpget(), std::move(target), std::string(kProbeUserAgent), timeout);
  }
  if (handler.has_tcpsocket()) co_return co_await Dial(handler.tcpsocket(), std::move(target), timeout);
  if (handler.has_grpc()) co_return co_await Check(handler.grpc(), std::move(target), timeout);
  co_return ProbeUnknown("the probe has no handler: set exec, httpGet, tcpSocket or grpc");
}

Task<ProbeResult> Prober::RunHook(corev1::LifecycleHandler handler, ProbeTarget target, Nanoseconds timeout) {
  if (handler.has_exec()) co_return co_await Exec(handler.exec(), std::move(target), timeout);
  if (handler.has_httpget()) {
    corev1::HTTPGetAction action = handler.httpget();
    if (IsUnset(action.port())) {
      action.mutable_port()->set_type(0);
      action.mutable_port()->set_intval(kDefaultHookPort);
    }
    co_return co_await Get(std::move(action), std::move(target), std::string(kHookUserAgent), timeout);
  }
  if (handler.has_tcpsocket()) co_return co_await Dial(handler.tcpsocket(), std::move(target), timeout);
  if (handler.has_sleep()) co_return co_await Sleep(handler.sleep(), timeout);
  co_return ProbeUnknown("the hook has no handler: set exec, httpGet, tcpSocket or sleep");
}

Task<ProbeResult> Prober::Exec(corev1::ExecAction action, ProbeTarget target, Nanoseconds timeout) {
  ExecCommand exec;
  exec.container_id = std::move(target.container_id);
  exec.command.assign(action.command().begin(), action.command().end());
  exec.pod = fmt::format("{}/{}", target.namespace_, target.pod_name);
  if (exec.command.empty()) co_return ProbeUnknown("exec.command is empty");
  co_return co_await exec_.Run(std::move(exec), timeout);
}

Task<ProbeResult> Prober::Get(corev1::HTTPGetAction action, ProbeTarget target, std::string user_agent,
                              Nanoseconds timeout) {
  const Result<std::uint16_t> port = ResolvePort(action.port(), target.container);
  if (!port) co_return ProbeUnknown("httpGet.port: " + port.error().message());
  const Result<std::string> host = HostOf(action.host(), target);
  if (!host) co_return ProbeUnknown("httpGet: " + host.error().message());
  Result<HttpHeaders> headers = HeadersOf(action, user_agent);
  // As upstream, where the client refuses to send them: the probe fails, so that somebody looks.
  if (!headers) co_return ProbeFailure("httpGet." + headers.error().message());
  HttpGet get;
  get.url = UrlOf(action, *host, *port);
  get.headers = std::move(*headers);
  co_return co_await http_.Run(std::move(get), timeout);
}

Task<ProbeResult> Prober::Dial(corev1::TCPSocketAction action, ProbeTarget target, Nanoseconds timeout) {
  const Result<std::uint16_t> port = ResolvePort(action.port(), target.container);
  if (!port) co_return ProbeUnknown("tcpSocket.port: " + port.error().message());
  const Result<std::string> host = HostOf(action.host(), target);
  if (!host) co_return ProbeUnknown("tcpSocket: " + host.error().message());
  std::optional<ProbeResult> result =
      co_await async::WithinDeadline(&timeline_, timeline_.mono() + timeout, ConnectOnce(&names_, *host, *port));
  if (result) co_return std::move(*result);
  co_return ProbeFailure(
      fmt::format("dial tcp {}: timed out after {}", JoinHostPort(*host, *port), FormatDuration(timeout)));
}

Task<ProbeResult> Prober::Check(corev1::GRPCAction action, ProbeTarget target, Nanoseconds timeout) {
  intstrv1::IntOrString number;
  number.set_intval(action.port());
  const Result<std::uint16_t> port = ResolvePort(number, target.container);
  if (!port) co_return ProbeUnknown("grpc.port: " + port.error().message());
  const Result<std::string> host = HostOf("", target);
  if (!host) co_return ProbeUnknown("grpc: " + host.error().message());
  GrpcCheck check{.host = *host, .port = *port, .service = action.service()};
  co_return co_await grpc_.Run(std::move(check), timeout);
}

Task<ProbeResult> Prober::Sleep(corev1::SleepAction action, Nanoseconds timeout) {
  // Longer than any timeout is longer than any timeout.
  const Nanoseconds duration = Seconds(std::clamp<std::int64_t>(action.seconds(), 0, 1'000'000'000));
  std::optional<ProbeResult> result =
      co_await async::WithinDeadline(&timeline_, timeline_.mono() + timeout, SleepOnce(&timeline_, duration));
  if (result) co_return std::move(*result);
  co_return ProbeFailure(fmt::format("sleep: timed out after {}", FormatDuration(timeout)));
}

Task<void> Prober::Close() {
  co_await grpc_.Close();
  co_await names_.Close();
}

}  // namespace daemonsetd::pods
