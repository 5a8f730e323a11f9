#include "agent/pods/probes/connect.h"

#include <sys/socket.h>

#include <functional>
#include <utility>

#include <fmt/format.h>

#include "agent/async/network.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::pods {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr int kLookupsAtOnce = 2;

using Addresses = std::vector<asio::ip::address>;

Result<Addresses> LookUp(const std::string& host) {
  Result<Addresses> addresses = async::LookUpAddresses(host);
  if (addresses && addresses->empty()) addresses = Error(ErrorKind::kRetry, "no address");
  if (!addresses) return addresses.error().WithContext("lookup " + host);
  return addresses;
}

// Set by hand and not through Asio, which takes the option back when a socket is destroyed without having been closed,
// as it is when its coroutine is cancelled.
void CloseByReset(tcp::socket& socket) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  // It cannot fail on a TCP socket; if it did, the probe would still be right.
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

NameLookup::NameLookup(async::Executor executor, async::BlockingPool& pool)
    : calls_(std::move(executor), pool, kLookupsAtOnce) {}

Task<Result<Addresses>> NameLookup::Find(std::string host) {
  boost::system::error_code not_numeric;
  if (const auto address = asio::ip::make_address(host, not_numeric); !not_numeric) co_return Addresses{address};
  std::function<Result<Addresses>()> look_up = [host = std::move(host)] { return LookUp(host); };
  co_return co_await calls_.Run(std::move(look_up));
}

Task<Result<tcp::socket>> Connect(NameLookup* names, std::string host, std::uint16_t port) {
  const Result<Addresses> addresses = co_await names->Find(host);
  if (!addresses) co_return addresses.error().WithContext("dial tcp");
  const async::Executor executor = co_await asio::this_coro::executor;
  Error last(ErrorKind::kRetry, "dial tcp: no address");
  for (const asio::ip::address& address : *addresses) {
    const tcp::endpoint endpoint(address, port);
    tcp::socket socket(executor);
    boost::system::error_code error;
    socket.open(endpoint.protocol(), error);
    if (!error) {
      CloseByReset(socket);
      std::tie(error) = co_await socket.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
    }
    if (!error) co_return std::move(socket);
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    last = Error(ErrorKind::kRetry, fmt::format("dial tcp {}: connect: {}", JoinHostPort(address.to_string(), port),
                                                async::ReasonOf(error)));
  }
  co_return last;
}

std::string JoinHostPort(std::string_view host, std::uint16_t port) {
  return host.find(':') == std::string_view::npos ? fmt::format("{}:{}", host, port)
                                                  : fmt::format("[{}]:{}", host, port);
}

}  // namespace daemonsetd::pods
