#include "agent/pods/probes/connect.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cctype>
#include <cstring>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "agent/async/wake.h"

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
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); code != 0) {
    return Error(ErrorKind::kRetry, fmt::format("lookup {}: {}", host, ::gai_strerror(code)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    tcp::endpoint endpoint;
    if (entry->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
    addresses.push_back(endpoint.address());
  }
  if (addresses.empty()) return Error(ErrorKind::kRetry, fmt::format("lookup {}: no address", host));
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

struct NameLookup::Request {
  Request(const async::Executor& executor, std::string name) : host(std::move(name)), answered(executor) {}
  std::string host;
  Result<Addresses> answer = Error(ErrorKind::kRetry, "lookup: not answered");
  async::Wake answered;
};

NameLookup::NameLookup(async::Executor executor, async::BlockingPool& pool)
    : executor_(executor), pool_(pool), places_(executor, kLookupsAtOnce), scope_(std::move(executor)) {}

Task<void> NameLookup::Ask(async::BlockingPool* pool, std::shared_ptr<Request> request,
                           async::Semaphore::Permit /*held until the end*/) {
  std::function<Status()> look_up = [request]() -> Status {
    request->answer = LookUp(request->host);
    return Ok();
  };
  co_await pool->Run(std::move(look_up));
  request->answered.Notify();
}

Task<Result<Addresses>> NameLookup::Find(std::string host) {
  boost::system::error_code not_numeric;
  if (const auto address = asio::ip::make_address(host, not_numeric); !not_numeric) co_return Addresses{address};
  async::Semaphore::Permit permit = co_await places_.Acquire();
  auto request = std::make_shared<Request>(executor_, std::move(host));
  scope_.Spawn("name look-up", Ask(&pool_, request, std::move(permit)));
  co_await request->answered.Wait();
  co_return std::move(request->answer);
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
    last = Error(ErrorKind::kRetry,
                 fmt::format("dial tcp {}: connect: {}", JoinHostPort(address.to_string(), port), ReasonOf(error)));
  }
  co_return last;
}

std::string JoinHostPort(std::string_view host, std::uint16_t port) {
  return host.find(':') == std::string_view::npos ? fmt::format("{}:{}", host, port)
                                                  : fmt::format("[{}]:{}", host, port);
}

std::string ReasonOf(const boost::system::error_code& error) {
  std::string text = error.message();
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

}  // namespace daemonsetd::pods
