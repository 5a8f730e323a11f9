#include "agent/kube/transport/http_transport.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/async/semaphore.h"
#include "agent/async/within_deadline.h"
#include "agent/kube/transport/connector.h"
#include "agent/kube/transport/credentials.h"
#include "agent/kube/transport/http_connection.h"
#include "agent/kube/transport/idle_connections.h"

namespace daemonsetd::kube {
namespace {

constexpr int kRequestsAtOnce = 4;
constexpr std::size_t kMaximumBody = std::size_t{64} << 20;

// Where a request is, for the line that says that its time was up. Lives as long as the request.
struct Progress {
  std::string server = "the API server";
  std::string_view phase = "waiting for its turn";
};

struct Begun {
  std::unique_ptr<HttpConnection> connection;
  HttpResponse response;  // without its body
};

// Nobody else's request may be hidden in one of ours.
Status CheckRequest(const HttpRequest& request) {
  const auto visible = [](std::string_view text, char first) {
    return std::all_of(text.begin(), text.end(), [first](char c) { return c >= first && c <= '~'; });
  };
  if (request.method.empty() || !visible(request.method, 'A') || !request.target.starts_with('/') ||
      !visible(request.target, '!') || !visible(request.accept, ' ') || !visible(request.content_type, ' ')) {
    return Error(ErrorKind::kInvalid, "a request's method, target or header holds characters that have no place there");
  }
  return Ok();
}

bool IsIdempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

class Stream final : public HttpStream {
 public:
  Stream(async::Timeline& timeline, std::string server, std::unique_ptr<HttpConnection> connection,
         std::weak_ptr<IdleConnections> idle)
      : timeline_(timeline), server_(std::move(server)), connection_(std::move(connection)), idle_(std::move(idle)) {}

  Task<Result<std::string>> Read(MonoTime deadline) override {
    if (ended_) co_return std::string();
    if (!connection_) co_return Error(ErrorKind::kRetry, server_ + ": the stream broke earlier");
    // Held here, so that it goes with whatever ends this call but a piece.
    std::unique_ptr<HttpConnection> connection = std::move(connection_);
    const std::optional<Result<std::string>> piece =
        co_await async::WithinDeadline(&timeline_, deadline, connection->ReadPiece());
    if (!piece) co_return Error(ErrorKind::kTimeout, server_ + ": nothing came in time");
    if (!*piece) co_return piece->error().WithContext(server_);
    ended_ = (*piece)->empty();
    if (!ended_) {
      connection_ = std::move(connection);
    } else if (const auto idle = idle_.lock()) {
      idle->Put(std::move(connection));
    }
    co_return **piece;
  }

 private:
  async::Timeline& timeline_;
  const std::string server_;
  std::unique_ptr<HttpConnection> connection_;
  std::weak_ptr<IdleConnections> idle_;
  bool ended_ = false;
};

}  // namespace

struct KubeconfigTransport::Impl {
  Impl(const async::Executor& executor, async::Timeline& the_timeline, async::BlockingPool& pool, std::string path)
      : timeline(the_timeline),
        credentials(executor, the_timeline, pool, std::move(path)),
        connector(executor, the_timeline, pool),
        places(executor, kRequestsAtOnce),
        idle(std::make_shared<IdleConnections>(executor, the_timeline)) {}

  Task<Result<Begun>> Begin(HttpRequest request, MonoTime deadline, std::shared_ptr<Progress> progress);
  // The rest of the answer; the connection is kept for others.
  Task<Result<HttpResponse>> ReadToEnd(Begun begun, std::shared_ptr<Progress> progress);
  Task<Result<HttpResponse>> Exchange(HttpRequest request, MonoTime deadline, std::shared_ptr<Progress> progress);
  Task<Result<HttpStreamStart>> OpenStream(HttpRequest request, MonoTime deadline, std::shared_ptr<Progress> progress);

  template <class T>
  Task<Result<T>> InTime(MonoTime deadline, std::shared_ptr<Progress> progress, Task<Result<T>> task) {
    std::optional<Result<T>> answer = co_await async::WithinDeadline(&timeline, deadline, std::move(task));
    if (answer) co_return std::move(*answer);
    // What made this one fall silent may have done so to those that wait, and each would cost a request its time.
    idle->Clear();
    co_return Error(ErrorKind::kTimeout, fmt::format("{}: no answer in time ({})", progress->server, progress->phase));
  }

  async::Timeline& timeline;
  Credentials credentials;
  Connector connector;
  async::Semaphore places;
  std::shared_ptr<IdleConnections> idle;  // streams give their connection back, if there still is somewhere
  Counters counters;
  std::string host;  // of the newest request
};

// Up to the header of the answer, on a kept connection or a new one.
Task<Result<Begun>> KubeconfigTransport::Impl::Begin(HttpRequest request, MonoTime deadline,
                                                     std::shared_ptr<Progress> progress) {
  DAEMONSETD_CO_RETURN_IF_ERROR(CheckRequest(request));
  progress->phase = "reading the credentials";
  const Result<std::shared_ptr<const Access>> access = co_await credentials.Get();
  if (!access) co_return access.error();
  progress->server = ToString((*access)->server);
  host = HostHeader((*access)->server);
  idle->Keep((*access)->generation);
  const std::string rendered = RenderRequest(request, **access);
  std::unique_ptr<HttpConnection> connection = idle->Take();
  bool repeated = false;
  while (true) {
    const bool kept = connection != nullptr;
    if (!kept) {
      progress->phase = "connecting";
      ConnectionResult made = co_await connector.Connect(*access, deadline);
      if (!made) co_return made.error();
      connection = std::move(*made);
      ++counters.connections;
    }
    progress->phase = "waiting for the answer";
    ++counters.requests;
    if (repeated) ++counters.repeated;
    Result<HttpResponse> response = co_await connection->Start(rendered);
    if (response) co_return Begun{.connection = std::move(connection), .response = std::move(*response)};
    const bool again = kept && !connection->answered() && response.error().kind() == ErrorKind::kRetry &&
                       (!connection->sent() || IsIdempotent(request.method));
    if (!again) co_return response.error().WithContext(progress->server);
    connection.reset();
    repeated = true;
  }
}

Task<Result<HttpResponse>> KubeconfigTransport::Impl::Exchange(HttpRequest request, MonoTime deadline,
                                                               std::shared_ptr<Progress> progress) {
  const async::Semaphore::Permit place = co_await places.Acquire();
  Result<Begun> begun = co_await Begin(std::move(request), deadline, progress);
  if (!begun) co_return begun.error();
  co_return co_await ReadToEnd(std::move(*begun), progress);
}

Task<Result<HttpResponse>> KubeconfigTransport::Impl::ReadToEnd(Begun begun, std::shared_ptr<Progress> progress) {
  progress->phase = "reading the answer";
  Result<std::string> body = co_await ReadBody(begun.connection.get(), kMaximumBody);
  if (!body) co_return body.error().WithContext(progress->server);
  idle->Put(std::move(begun.connection));
  begun.response.body = std::move(*body);
  co_return std::move(begun.response);
}

Task<Result<HttpStreamStart>> KubeconfigTransport::Impl::OpenStream(HttpRequest request, MonoTime deadline,
                                                                    std::shared_ptr<Progress> progress) {
  Result<Begun> begun = co_await Begin(std::move(request), deadline, progress);
  if (!begun) co_return begun.error();
  HttpStreamStart start;
  if (begun->response.status == 200) {
    start.response = std::move(begun->response);
    start.stream = std::make_unique<Stream>(timeline, progress->server, std::move(begun->connection), idle);
    co_return std::move(start);
  }
  Result<HttpResponse> response = co_await ReadToEnd(std::move(*begun), progress);
  if (!response) co_return response.error();
  start.response = std::move(*response);
  co_return std::move(start);
}

KubeconfigTransport::KubeconfigTransport(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
                                         std::string kubeconfig_path)
    : impl_(std::make_unique<Impl>(executor, timeline, pool, std::move(kubeconfig_path))) {}

KubeconfigTransport::~KubeconfigTransport() = default;

std::string KubeconfigTransport::host() const { return impl_->host; }

Task<Result<HttpResponse>> KubeconfigTransport::Send(HttpRequest request, MonoTime deadline) {
  auto progress = std::make_shared<Progress>();
  return impl_->InTime(deadline, progress, impl_->Exchange(std::move(request), deadline, progress));
}

Task<Result<HttpStreamStart>> KubeconfigTransport::Open(HttpRequest request, MonoTime deadline) {
  auto progress = std::make_shared<Progress>();
  return impl_->InTime(deadline, progress, impl_->OpenStream(std::move(request), deadline, progress));
}

Task<void> KubeconfigTransport::Close() {
  impl_->idle->Clear();
  co_await impl_->credentials.Close();
  co_await impl_->connector.Close();
}

KubeconfigTransport::Counters KubeconfigTransport::counters() const {
  Counters counters = impl_->counters;
  counters.idle = impl_->idle->size();
  return counters;
}

}  // namespace daemonsetd::kube
