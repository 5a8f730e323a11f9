#include "agent/local/network_listener.h"

#include <utility>

#include "agent/base/log.h"
#include "agent/model/names.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace daemonsetd::local {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr Nanoseconds kTryAgain = std::chrono::seconds(5);
// Also what a flood of connections that are accepted and fail waits.
constexpr Nanoseconds kAfterFailure = std::chrono::seconds(1);

}  // namespace

NetworkListener::NetworkListener(async::Executor executor, async::Timeline& timeline, std::string address,
                                 std::function<void(Socket)> on_connection)
    : executor_(executor),
      timeline_(timeline),
      address_(std::move(address)),
      on_connection_(std::move(on_connection)),
      acceptor_(executor),
      trouble_("metrics are not served on " + address_ + "; trying again", "metrics are served on " + address_) {}

Status NetworkListener::Listen() {
  const auto parsed = model::ParseAddressPort(address_);
  if (!parsed) return Error(ErrorKind::kInvalid, "\"" + address_ + "\" is not an IP address and a port");
  boost::system::error_code error;
  const tcp::endpoint endpoint(asio::ip::make_address(parsed->address, error), parsed->port);
  if (!error) acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return Ok();
  boost::system::error_code ignored;  // a new one is opened at the next try
  acceptor_.close(ignored);
  return Error(ErrorKind::kRetry, error.message());
}

Task<void> NetworkListener::Run() {
  for (Status listening = Listen(); !listening; listening = Listen()) {
    trouble_.Tell(listening.error());
    co_await timeline_.SleepFor(kTryAgain);
  }
  trouble_.End();
  log::Info("metrics are served on the network, to everybody who reaches it", {{"address", address_}});
  for (;;) {
    auto [error, socket] = co_await acceptor_.async_accept(executor_, asio::as_tuple(asio::use_awaitable));
    if (!error) {
      on_connection_(std::move(socket));
    } else if (error == asio::error::operation_aborted) {
      co_return;
    } else {
      co_await timeline_.SleepFor(kAfterFailure);  // mostly out of descriptors
    }
  }
}

}  // namespace daemonsetd::local
