#include "tests/unit/pods/probes/probe_server.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <optional>

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

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

void UseSelfSigned(SSL_CTX* context) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("probe test"), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

}  // namespace

struct ProbeServer::State {
  State(const async::Executor& loop, Script its_script)
      : script(std::move(its_script)), acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}

  Script script;
  tcp::acceptor acceptor;
  std::optional<asio::ssl::context> tls;
  std::vector<std::shared_ptr<tcp::socket>> plain;
  std::vector<std::shared_ptr<asio::ssl::stream<tcp::socket>>> encrypted;
  int connections = 0;
  int resets = 0;
  std::vector<std::string> requests;
  std::string server_name;
};

namespace {

template <class State, class Stream>
Task<void> Serve(std::shared_ptr<State> state, std::shared_ptr<Stream> stream, int number) {
  std::string request;
  boost::system::error_code error;
  std::size_t size = 0;
  if (!state->script.first) {
    std::tie(error, size) = co_await asio::async_read_until(*stream, asio::dynamic_buffer(request), "\r\n\r\n", kTuple);
  }
  if (!error) {
    state->requests.push_back(request);
    const std::string answer = state->script.answer ? state->script.answer(number, request) : "";
    do {
      std::tie(error, size) = co_await asio::async_write(*stream, asio::buffer(answer), kTuple);
    } while (!error && state->script.endless && !answer.empty());
  }
  if (!error && (state->script.stays || state->script.endless)) {
    std::string more(1, '\0');
    std::tie(error, size) = co_await asio::async_read(*stream, asio::buffer(more), kTuple);
  }
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe) ++state->resets;
  boost::system::error_code ignored;
  stream->lowest_layer().close(ignored);
}

template <class State>
Task<void> ServeTls(std::shared_ptr<State> state, std::shared_ptr<asio::ssl::stream<tcp::socket>> stream, int number) {
  const auto [error] = co_await stream->async_handshake(asio::ssl::stream_base::server, kTuple);
  if (error) {
    boost::system::error_code ignored;
    stream->lowest_layer().close(ignored);
    co_return;
  }
  const char* name = SSL_get_servername(stream->native_handle(), TLSEXT_NAMETYPE_host_name);
  state->server_name = name ? name : "";
  co_await Serve(state, stream, number);
}

template <class State>
Task<void> Accept(std::shared_ptr<State> state) {
  while (true) {
    auto [error, socket] = co_await state->acceptor.async_accept(kTuple);
    if (error) co_return;
    const int number = state->connections++;
    const async::Executor executor = state->acceptor.get_executor();
    if (state->tls) {
      auto stream = std::make_shared<asio::ssl::stream<tcp::socket>>(std::move(socket), *state->tls);
      state->encrypted.push_back(stream);
      asio::co_spawn(executor, ServeTls(state, stream, number), asio::detached);
    } else {
      auto stream = std::make_shared<tcp::socket>(std::move(socket));
      state->plain.push_back(stream);
      asio::co_spawn(executor, Serve(state, stream, number), asio::detached);
    }
  }
}

}  // namespace

ProbeServer::ProbeServer(async::Executor executor, Script script)
    : state_(std::make_shared<State>(executor, std::move(script))) {
  if (state_->script.tls) {
    state_->tls.emplace(asio::ssl::context::tls_server);
    UseSelfSigned(state_->tls->native_handle());
  }
  asio::co_spawn(executor, Accept(state_), asio::detached);
}

ProbeServer::~ProbeServer() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
  for (const auto& stream : state_->plain) stream->close(ignored);
  for (const auto& stream : state_->encrypted) stream->lowest_layer().close(ignored);
}

int ProbeServer::port() const { return state_->acceptor.local_endpoint().port(); }
int ProbeServer::connections() const { return state_->connections; }
int ProbeServer::resets() const { return state_->resets; }
const std::vector<std::string>& ProbeServer::requests() const { return state_->requests; }
const std::string& ProbeServer::server_name() const { return state_->server_name; }

}  // namespace daemonsetd::testing
