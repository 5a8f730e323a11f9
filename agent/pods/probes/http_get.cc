#include "agent/pods/probes/http_get.h"

#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/async/network.h"
#include "agent/async/within_deadline.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/none.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::pods {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr std::uint32_t kMaximumHead = 64 * 1024;
constexpr std::size_t kMaximumBody = 10 * 1024;  // as upstream; what comes after it is not read
constexpr int kMaximumRedirects = 10;
constexpr int kMaximumInterim = 5;  // as Go: "100 Continue" and its kind before the answer

// Where a get is, for the line that says that its time was up. Lives as long as the get.
struct Progress {
  std::string url;
  std::string_view phase;
};

struct Answer {
  int status = 0;
  std::string location;
};

// kRetry with the reason, or operation_aborted thrown when it was cancellation that ended the operation.
Error Broken(const boost::system::error_code& error) {
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Error(ErrorKind::kRetry, "the headers of the response are longer than 64 KiB");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message || error == asio::error::eof) {
    return Error(ErrorKind::kRetry, "unexpected EOF");
  }
  if (error.category() == http::make_error_code(http::error::bad_version).category()) {
    return Error(ErrorKind::kRetry, "malformed HTTP response: " + error.message());
  }
  return Error(ErrorKind::kRetry, async::ReasonOf(error));
}

template <class Stream>
Task<Status> ReadBody(Stream* stream, boost::beast::flat_buffer* buffer,
                      http::response_parser<http::buffer_body>* parser) {
  std::array<char, 2048> piece;
  std::size_t total = 0;
  while (!parser->is_done() && total < kMaximumBody) {
    auto& body = parser->get().body();
    body.data = piece.data();
    body.size = piece.size();
    const auto [error, size] = co_await http::async_read_some(*stream, *buffer, *parser, kTuple);
    if (error && error != http::error::need_buffer) co_return Broken(error);
    total += piece.size() - body.size;
  }
  co_return Ok();
}

template <class Stream>
Task<Result<Answer>> Converse(Stream* stream, std::string request, std::shared_ptr<Progress> progress) {
  progress->phase = "awaiting headers";
  const auto [sent, sent_size] = co_await asio::async_write(*stream, asio::buffer(request), kTuple);
  if (sent) co_return Broken(sent);
  boost::beast::flat_buffer buffer(kMaximumHead + kMaximumBody);
  for (int interim = 0; interim <= kMaximumInterim; ++interim) {
    http::response_parser<http::buffer_body> parser;
    parser.header_limit(kMaximumHead);
    parser.body_limit(boost::none);  // ReadBody stops by itself
    const auto [error, size] = co_await http::async_read_header(*stream, buffer, parser, kTuple);
    if (error) co_return Broken(error);
    const int status = static_cast<int>(parser.get().result_int());
    if (status >= 100 && status < 200 && status != 101) continue;
    Answer answer{.status = status};
    if (const auto location = parser.get().find(http::field::location); location != parser.get().end()) {
      answer.location = std::string(location->value().data(), location->value().size());
    }
    progress->phase = "reading the body";
    DAEMONSETD_CO_RETURN_IF_ERROR(co_await ReadBody(stream, &buffer, &parser));
    co_return answer;
  }
  co_return Error(ErrorKind::kRetry, "too many 1xx informational responses");
}

asio::ssl::context MakeTls() {
  asio::ssl::context context(asio::ssl::context::tls_client);
  SSL_CTX* raw = context.native_handle();
  // Nothing is verified, so a strong key would protect nothing; servers that Go's client accepts must pass here too.
  SSL_CTX_set_verify(raw, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_security_level(raw, 0);
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_IGNORE_UNEXPECTED_EOF);
  return context;
}

Task<Result<Answer>> ConverseOverTls(tcp::socket socket, asio::ssl::context* tls, std::string server_name,
                                     std::string request, std::shared_ptr<Progress> progress) {
  progress->phase = "TLS handshake";
  asio::ssl::stream<tcp::socket> stream(std::move(socket), *tls);
  if (!server_name.empty()) SSL_set_tlsext_host_name(stream.native_handle(), server_name.c_str());
  const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::client, kTuple);
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  if (error) co_return Error(ErrorKind::kRetry, "TLS handshake: " + async::ReasonOf(error));
  co_return co_await Converse(&stream, std::move(request), std::move(progress));
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

ProbeResult Warn(std::string_view output) {
  ProbeResult result = ProbeSuccess(output);
  result.warning = true;
  return result;
}

ProbeResult Judge(int status) {
  if (status >= 200 && status < 300) return ProbeSuccess(fmt::format("HTTP status {}", status));
  if (status >= 300 && status < 400) return Warn(fmt::format("Probe terminated redirects: HTTP status {}", status));
  return ProbeFailure(fmt::format("HTTP probe failed with statuscode: {}", status));
}

}  // namespace

struct HttpGetter::Impl {
  Impl(async::Timeline& the_timeline, NameLookup& the_names) : timeline(the_timeline), names(the_names) {}

  Task<Result<Answer>> Exchange(HttpUrl url, HttpHeaders headers, std::shared_ptr<Progress> progress);
  Task<ProbeResult> Follow(HttpGet get, std::shared_ptr<Progress> progress);

  async::Timeline& timeline;
  NameLookup& names;
  std::optional<asio::ssl::context> tls;  // made when the first probe needs it: many nodes never do
};

HttpGetter::HttpGetter(async::Timeline& timeline, NameLookup& names) : impl_(std::make_unique<Impl>(timeline, names)) {}
HttpGetter::~HttpGetter() = default;

Task<Result<Answer>> HttpGetter::Impl::Exchange(HttpUrl url, HttpHeaders headers, std::shared_ptr<Progress> progress) {
  progress->url = Display(url);
  progress->phase = "connecting";
  Result<tcp::socket> socket = co_await Connect(&names, url.host, url.port);
  if (!socket) co_return socket.error();
  std::string request = RenderRequest(url, headers);
  if (!url.tls) co_return co_await Converse(&*socket, std::move(request), std::move(progress));
  if (!tls) tls.emplace(MakeTls());
  co_return co_await ConverseOverTls(std::move(*socket), &*tls, ServerName(url), std::move(request),
                                     std::move(progress));
}

Task<ProbeResult> HttpGetter::Impl::Follow(HttpGet get, std::shared_ptr<Progress> progress) {
  const HttpUrl first = get.url;
  for (int redirects = 0; redirects <= kMaximumRedirects; ++redirects) {
    const Result<Answer> answer = co_await Exchange(get.url, get.headers, progress);
    if (!answer) co_return ProbeFailure(fmt::format("Get \"{}\": {}", progress->url, answer.error().message()));
    if (!IsRedirect(answer->status) || answer->location.empty()) co_return Judge(answer->status);
    std::optional<HttpUrl> next = pods::Follow(get.url, answer->location);
    // A header's value is not repeated, not even that of Location.
    if (!next) {
      co_return ProbeFailure(
          fmt::format("Get \"{}\": the Location of HTTP status {} is no HTTP address", progress->url, answer->status));
    }
    if (!SameHost(*next, first)) {
      co_return Warn(fmt::format("Probe terminated redirects: HTTP status {} leads to another host, which is not asked",
                                 answer->status));
    }
    // A name that the user gave for this host holds only as long as the server does not name one itself.
    if (!IsRelative(answer->location)) get.headers.host.clear();
    get.url = std::move(*next);
  }
  co_return ProbeFailure(fmt::format("Get \"{}\": stopped after {} redirects", progress->url, kMaximumRedirects));
}

Task<ProbeResult> HttpGetter::Run(HttpGet get, Nanoseconds timeout) {
  Impl& impl = *impl_;
  auto progress = std::make_shared<Progress>();
  std::optional<ProbeResult> result = co_await async::WithinDeadline(&impl.timeline, impl.timeline.mono() + timeout,
                                                                     impl.Follow(std::move(get), progress));
  if (result) co_return std::move(*result);
  co_return ProbeFailure(
      fmt::format("Get \"{}\": timed out after {} ({})", progress->url, FormatDuration(timeout), progress->phase));
}

}  // namespace daemonsetd::pods
