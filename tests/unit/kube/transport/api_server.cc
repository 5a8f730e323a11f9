#include "tests/unit/kube/transport/api_server.h"

#include <openssl/ssl.h>

#include <optional>
#include <utility>

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace daemonsetd::testing {

namespace asio = boost::asio;
using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

struct Peer {
  std::shared_ptr<tcp::socket> plain;
  std::shared_ptr<TlsStream> encrypted;

  tcp::socket& socket() const { return plain ? *plain : encrypted->next_layer(); }
};

std::size_t LengthOf(const std::string& head) {
  const std::size_t at = head.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
}

int ChooseHttp(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned int in_size,
               void*) {
  static const unsigned char known[] = "\x08http/1.1";
  return SSL_select_next_proto(const_cast<unsigned char**>(out), size, known, sizeof known - 1, in, in_size) ==
                 OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_NOACK;
}

asio::ssl::context MakeContext(const ApiServer::Tls& tls) {
  asio::ssl::context context(asio::ssl::context::tls_server);
  context.use_certificate_chain(asio::buffer(tls.certificate.certificate));
  context.use_private_key(asio::buffer(tls.certificate.key), asio::ssl::context::pem);
  if (!tls.client_authority.empty()) {
    context.add_certificate_authority(asio::buffer(tls.client_authority));
    SSL_CTX_set_verify(
        context.native_handle(),
        tls.client_certificate_required ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER, nullptr);
  }
  SSL_CTX_set_alpn_select_cb(context.native_handle(), ChooseHttp, nullptr);
  return context;
}

}  // namespace

struct ApiServer::State {
  State(const async::Executor& loop, Script its_script)
      : script(std::move(its_script)), acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    port = acceptor.local_endpoint().port();
  }

  void CloseOne(std::size_t number) {
    boost::system::error_code ignored;
    peers[number].socket().close(ignored);
  }

  Script script;
  tcp::acceptor acceptor;
  int port = 0;
  std::optional<asio::ssl::context> tls;
  std::vector<Peer> peers;
  std::vector<Request> requests;
};

namespace {

template <class State, class Stream>
Task<void> Serve(std::shared_ptr<State> state, std::shared_ptr<Stream> stream, ApiServer::Request known) {
  std::string buffer;
  while (true) {
    const auto [error, size] =
        co_await asio::async_read_until(*stream, asio::dynamic_buffer(buffer), "\r\n\r\n", kTuple);
    if (error) break;
    ApiServer::Request request = known;
    request.head = buffer.substr(0, size);
    buffer.erase(0, size);
    const std::size_t length = LengthOf(request.head);
    if (length > buffer.size()) {
      const auto [body_error, body_size] = co_await asio::async_read(
          *stream, asio::dynamic_buffer(buffer), asio::transfer_exactly(length - buffer.size()), kTuple);
      if (body_error) break;
    }
    request.body = buffer.substr(0, length);
    buffer.erase(0, length);
    state->requests.push_back(request);
    const ApiServer::Reply reply = state->script(request);
    const auto [write_error, written] = co_await asio::async_write(*stream, asio::buffer(reply.bytes), kTuple);
    if (write_error || reply.close) break;
  }
  state->CloseOne(static_cast<std::size_t>(known.connection));
}

template <class State>
Task<void> ServeTls(std::shared_ptr<State> state, std::shared_ptr<TlsStream> stream, ApiServer::Request known) {
  const auto [error] = co_await stream->async_handshake(asio::ssl::stream_base::server, kTuple);
  if (error) {
    state->CloseOne(static_cast<std::size_t>(known.connection));
    co_return;
  }
  SSL* ssl = stream->native_handle();
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) known.server_name = name;
  if (X509* certificate = SSL_get0_peer_certificate(ssl)) {
    char name[64] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    known.client_name = name;
  }
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &size);
  known.protocol.assign(reinterpret_cast<const char*>(protocol), size);
  co_await Serve(state, stream, std::move(known));
}

template <class State>
Task<void> Accept(std::shared_ptr<State> state) {
  while (true) {
    auto [error, socket] = co_await state->acceptor.async_accept(kTuple);
    if (error) co_return;
    const async::Executor executor = state->acceptor.get_executor();
    ApiServer::Request known;
    known.connection = static_cast<int>(state->peers.size());
    if (state->tls) {
      auto stream = std::make_shared<TlsStream>(std::move(socket), *state->tls);
      state->peers.push_back({.plain = nullptr, .encrypted = stream});
      asio::co_spawn(executor, ServeTls(state, stream, std::move(known)), asio::detached);
    } else {
      auto stream = std::make_shared<tcp::socket>(std::move(socket));
      state->peers.push_back({.plain = stream, .encrypted = nullptr});
      asio::co_spawn(executor, Serve(state, stream, std::move(known)), asio::detached);
    }
  }
}

}  // namespace

ApiServer::ApiServer(async::Executor executor, Script script)
    : state_(std::make_shared<State>(executor, std::move(script))) {
  asio::co_spawn(executor, Accept(state_), asio::detached);
}

ApiServer::ApiServer(async::Executor executor, Script script, const Tls& tls)
    : state_(std::make_shared<State>(executor, std::move(script))) {
  state_->tls.emplace(MakeContext(tls));
  asio::co_spawn(executor, Accept(state_), asio::detached);
}

ApiServer::~ApiServer() {
  StopListening();
  for (std::size_t i = 0; i < state_->peers.size(); ++i) state_->CloseOne(i);
}

void ApiServer::StopListening() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
}

void ApiServer::Push(int connection, const std::string& bytes) {
  const Peer& peer = state_->peers.at(static_cast<std::size_t>(connection));
  if (peer.plain) {
    asio::write(*peer.plain, asio::buffer(bytes));
  } else {
    asio::write(*peer.encrypted, asio::buffer(bytes));
  }
}

void ApiServer::Close(int connection) { state_->CloseOne(static_cast<std::size_t>(connection)); }

int ApiServer::port() const { return state_->port; }
bool ApiServer::listening() const { return state_->acceptor.is_open(); }
int ApiServer::connections() const { return static_cast<int>(state_->peers.size()); }
int ApiServer::open_connections() const {
  int count = 0;
  for (const Peer& peer : state_->peers) count += peer.socket().is_open() ? 1 : 0;
  return count;
}
const std::vector<ApiServer::Request>& ApiServer::requests() const { return state_->requests; }

std::string Answer(int status, const std::string& body, const std::string& more) {
  return fmt::format("HTTP/1.1 {} X\r\n{}Content-Length: {}\r\n\r\n{}", status, more, body.size(), body);
}

std::string Chunk(const std::string& data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

}  // namespace daemonsetd::testing
