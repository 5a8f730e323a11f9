#include "agent/kube/transport/connector.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/async/network.h"
#include "agent/async/within_deadline.h"

namespace daemonsetd::kube {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMaximumAddresses = 8;

}  // namespace

Result<Connector::Addresses> Connector::LookUpBySystem(const std::string& host) {
  Result<Addresses> addresses = async::LookUpAddresses(host);
  if (!addresses) return addresses.error().WithContext("the name can't be looked up");
  if (addresses->empty()) return Error(ErrorKind::kRetry, "the name has no address");
  return addresses;
}

Connector::Connector(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool, LookUp look_up)
    : timeline_(timeline), look_up_(std::move(look_up)), calls_(std::move(executor), pool) {}

Task<Result<Connector::Addresses>> Connector::Find(std::string host) {
  boost::system::error_code not_numeric;
  if (const auto address = asio::ip::make_address(host, not_numeric); !not_numeric) co_return Addresses{address};
  std::function<Result<Addresses>()> call = [look_up = look_up_, host = std::move(host)] { return look_up(host); };
  Result<Addresses> addresses = co_await calls_.Run(std::move(call));
  if (!addresses) co_return addresses;
  // A server that keeps answering is kept: its neighbour may know less than we have seen.
  if (last_good_) {
    const auto good = std::find(addresses->begin(), addresses->end(), *last_good_);
    if (good != addresses->end()) std::rotate(addresses->begin(), good, good + 1);
  }
  if (addresses->size() > kMaximumAddresses) addresses->resize(kMaximumAddresses);
  co_return addresses;
}

Task<ConnectionResult> Connector::Connect(std::shared_ptr<const Access> access, MonoTime deadline) {
  const std::string what = "cannot connect to " + ToString(access->server);
  const Result<Addresses> addresses = co_await Find(access->server.host);
  if (!addresses) co_return addresses.error().WithContext(what);
  const bool named = addresses->front().to_string() != access->server.host;
  ErrorKind kind = ErrorKind::kRetry;
  std::string reasons;
  for (std::size_t i = 0; i < addresses->size(); ++i) {
    const asio::ip::address& address = (*addresses)[i];
    Task<ConnectionResult> attempt = ConnectTo(address, access);
    std::optional<ConnectionResult> connection;
    if (const auto left = static_cast<int>(addresses->size() - i); left == 1) {
      connection.emplace(co_await std::move(attempt));
    } else {
      const MonoTime now = timeline_.mono();
      connection = co_await async::WithinDeadline(&timeline_, now + (deadline - now) / left, std::move(attempt));
    }
    if (!connection) connection.emplace(Error(ErrorKind::kRetry, "no answer"));
    if (*connection) {
      last_good_ = address;
      co_return std::move(*connection);
    }
    // A server with the wrong certificate weighs more than one that is down: that one may come back by itself.
    if (connection->error().kind() == ErrorKind::kDenied) kind = ErrorKind::kDenied;
    if (!reasons.empty()) reasons += "; ";
    reasons += named ? fmt::format("{}: {}", address.to_string(), connection->error().message())
                     : connection->error().message();
  }
  co_return Error(kind, fmt::format("{}: {}", what, reasons));
}

}  // namespace daemonsetd::kube
