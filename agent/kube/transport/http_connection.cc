#include "agent/kube/transport/http_connection.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/async/network.h"
#include "agent/base/version.h"
#include "agent/kube/transport/tls.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/none.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::kube {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;
using Code = boost::system::error_code;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr std::uint32_t kMaximumHead = 64 * 1024;
constexpr int kMaximumInterim = 5;  // as Go: "100 Continue" and its kind before the answer
// Silence is probed after 25 s, three times 5 s apart; unanswered bytes of ours wait as long. Not more often: every
// probe of every watch costs the node and the server two packets.
constexpr int kKeepAliveIdle = 25;
constexpr int kKeepAliveInterval = 5;
constexpr int kKeepAliveCount = 3;
constexpr unsigned kUserTimeout = 40'000;  // milliseconds

// OpenSSL's packed error, 0 when it is none.
unsigned long TlsCode(const Code& error) {
  return error.category() == asio::error::get_ssl_category() ? static_cast<unsigned long>(error.value()) : 0;
}

// The error of a call on an open connection; operation_aborted is thrown, as it was cancellation.
Error Broken(const Code& error) {
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("the header of the answer is longer than {} KiB", kMaximumHead / 1024));
  }
  if (error == http::error::end_of_stream || error == asio::error::eof || error == asio::ssl::error::stream_truncated ||
      error == http::error::partial_message) {
    return Error(ErrorKind::kRetry, "the server closed the connection before the answer was complete");
  }
  if (error.category() == http::make_error_code(http::error::bad_version).category()) {
    return Error(ErrorKind::kInvalid, "the answer is not HTTP: " + error.message());
  }
  if (RefusesOurCertificate(TlsCode(error))) {
    return Error(ErrorKind::kDenied, "the server refuses our client certificate: " + async::ReasonOf(error));
  }
  return Error(ErrorKind::kRetry, "the connection broke: " + async::ReasonOf(error));
}

// An answer like any other is still right without these, only a dead server is noticed later; so they are not checked.
void WatchOver(tcp::socket& socket) {
  const int fd = static_cast<int>(socket.native_handle());
  const auto set = [fd](int level, int option, auto value) { ::setsockopt(fd, level, option, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdle);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveInterval);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveCount);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeout);
}

// Seconds only: the other form is a date of the server's clock.
std::optional<Seconds> ParseRetryAfter(std::string_view text) {
  constexpr int kMost = 24 * 60 * 60;
  int seconds = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (code == std::errc::result_out_of_range && !text.starts_with('-')) return Seconds(kMost);
  if (code != std::errc() || end != text.data() + text.size() || seconds < 0) return std::nullopt;
  return Seconds(std::min(seconds, kMost));
}

tcp::socket& SocketOf(tcp::socket& stream) { return stream; }
tcp::socket& SocketOf(TlsStream& stream) { return stream.next_layer(); }

template <class Stream>
class Connection final : public HttpConnection {
 public:
  Connection(std::unique_ptr<TlsSession> session, std::unique_ptr<Stream> stream)
      : session_(std::move(session)), stream_(std::move(stream)), buffer_(kMaximumHead + kPiece) {
    buffer_.reserve(kPiece);
  }

  Task<Result<HttpResponse>> Start(std::string request) override {
    answered_ = false;
    complete_ = false;
    sent_ = false;
    announced_ = 0;
    parser_.reset();
    const auto [error, size] = co_await asio::async_write(*stream_, asio::buffer(request), kTuple);
    // In TLS a record that was cut off is nothing to the server.
    sent_ = !error || size > 0;
    if (!error) co_return co_await ReadHead();
    const Error broken = Broken(error);
    // What the server said before it hung up tells more: an alert, or an answer before the end of the question.
    Result<HttpResponse> last_words = co_await ReadHead();
    if (last_words || last_words.error().kind() == ErrorKind::kDenied) co_return std::move(last_words);
    co_return broken;
  }

  Task<Result<std::string>> ReadPiece() override {
    while (!parser_->is_done()) {
      auto& body = parser_->get().body();
      body.data = piece_.data();
      body.size = piece_.size();
      const auto [error, size] = co_await http::async_read_some(*stream_, buffer_, *parser_, kTuple);
      if (error && error != http::error::need_buffer) co_return Broken(error);
      const std::size_t got = piece_.size() - body.size;
      if (got > 0) co_return std::string(piece_.data(), got);
    }
    complete_ = true;
    co_return std::string();
  }

  bool answered() const override { return answered_; }
  bool sent() const override { return sent_; }
  std::uint64_t announced() const override { return announced_; }

  bool Reusable() override {
    if (!complete_ || !parser_->keep_alive() || buffer_.size() > 0) return false;
    pollfd look{.fd = static_cast<int>(SocketOf(*stream_).native_handle()), .events = POLLIN | POLLRDHUP, .revents = 0};
    return ::poll(&look, 1, 0) == 0;
  }

 private:
  Task<Result<HttpResponse>> ReadHead() {
    for (int interim = 0; interim <= kMaximumInterim; ++interim) {
      parser_.emplace();
      parser_->header_limit(kMaximumHead);
      parser_->body_limit(boost::none);  // who reads the body counts
      const auto [error, size] = co_await http::async_read_header(*stream_, buffer_, *parser_, kTuple);
      answered_ = answered_ || size > 0 || buffer_.size() > 0;
      if (error) co_return Broken(error);
      const int status = static_cast<int>(parser_->get().result_int());
      if (status >= 100 && status < 200 && status != 101) continue;
      if (status < 100 || status > 599) {
        co_return Error(ErrorKind::kInvalid, fmt::format("the answer is not HTTP: status {}", status));
      }
      announced_ = parser_->content_length().value_or(0);
      co_return HeadOf(status);
    }
    co_return Error(ErrorKind::kInvalid, "the answer does not come: too many interim ones");
  }

  HttpResponse HeadOf(int status) const {
    HttpResponse response;
    response.status = status;
    const auto& fields = parser_->get();
    if (const auto type = fields.find(http::field::content_type); type != fields.end()) {
      response.content_type = std::string(type->value().data(), type->value().size());
    }
    if (const auto after = fields.find(http::field::retry_after); after != fields.end()) {
      response.retry_after = ParseRetryAfter(std::string_view(after->value().data(), after->value().size()));
    }
    return response;
  }

  std::unique_ptr<TlsSession> session_;  // outlives the stream, which owns the SSL object
  std::unique_ptr<Stream> stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::response_parser<http::buffer_body>> parser_;
  std::array<char, kPiece> piece_;
  bool sent_ = false;
  bool answered_ = false;
  bool complete_ = false;
  std::uint64_t announced_ = 0;
};

Error HandshakeProblem(const Code& error, const TlsSession& session) {
  if (const std::optional<Error> problem = session.CertificateProblem()) return *problem;
  const unsigned long code = TlsCode(error);
  if (RefusesOurCertificate(code)) {
    return Error(ErrorKind::kDenied, "the server refuses our client certificate: " + async::ReasonOf(error));
  }
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) {
    return Error(ErrorKind::kRetry, "TLS handshake: the server closed the connection");
  }
  return Error(ErrorKind::kRetry, fmt::format("TLS handshake: {}{}", async::ReasonOf(error),
                                              IsNoTls(code) ? "; does the server speak TLS on this port?" : ""));
}

}  // namespace

Task<Result<std::string>> ReadBody(HttpConnection* connection, std::size_t maximum) {
  const Error too_large(ErrorKind::kInvalid, fmt::format("the answer is larger than {} MiB", maximum / (1024 * 1024)));
  if (connection->announced() > maximum) co_return too_large;
  std::string body;
  body.reserve(std::min<std::size_t>(connection->announced(), std::size_t{1} << 20));
  while (true) {
    const Result<std::string> piece = co_await connection->ReadPiece();
    if (!piece) co_return piece.error();
    if (piece->empty()) co_return body;
    if (body.size() + piece->size() > maximum) co_return too_large;
    body += *piece;
  }
}

Task<ConnectionResult> ConnectTo(asio::ip::address address, std::shared_ptr<const Access> access) {
  const tcp::endpoint endpoint(address, access->server.port);
  tcp::socket socket(co_await asio::this_coro::executor);
  Code error;
  socket.open(endpoint.protocol(), error);
  if (error) co_return Error(ErrorKind::kRetry, async::ReasonOf(error));
  WatchOver(socket);
  std::tie(error) = co_await socket.async_connect(endpoint, kTuple);
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  if (error) co_return Error(ErrorKind::kRetry, async::ReasonOf(error));
  std::unique_ptr<HttpConnection> connection;
  if (access->tls) {
    auto session = std::make_unique<TlsSession>(access->tls, access->server_name);
    auto stream = std::make_unique<TlsStream>(std::move(socket), session->Release());
    std::tie(error) = co_await stream->async_handshake(asio::ssl::stream_base::client, kTuple);
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    if (error) co_return HandshakeProblem(error, *session);
    connection = std::make_unique<Connection<TlsStream>>(std::move(session), std::move(stream));
  } else {
    connection = std::make_unique<Connection<tcp::socket>>(nullptr, std::make_unique<tcp::socket>(std::move(socket)));
  }
  connection->generation = access->generation;
  co_return std::move(connection);
}

std::string RenderRequest(const HttpRequest& request, const Access& access) {
  std::string text = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: daemonsetd/{}\r\n", request.method,
                                 access.server.path, request.target, HostHeader(access.server), BuildVersion().version);
  const auto add = [&text](std::string_view name, std::string_view value) {
    if (!value.empty()) text.append(name).append(": ").append(value).append("\r\n");
  };
  add("Accept", request.accept);
  add("Content-Type", request.content_type);
  if (!access.token.empty()) text.append("Authorization: Bearer ").append(access.token).append("\r\n");
  // Servers want the length of a body that may be there, even when it is not.
  if (!request.body.empty() || request.method != "GET")
    text += fmt::format("Content-Length: {}\r\n", request.body.size());
  text.append("\r\n").append(request.body);
  return text;
}

}  // namespace daemonsetd::kube
