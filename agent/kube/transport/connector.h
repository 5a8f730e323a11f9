// Finds the API server: looks its name up and tries each address. Everything on the loop thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/blocking_calls.h"
#include "agent/kube/transport/http_connection.h"

namespace daemonsetd::kube {

class Connector {
 public:
  using Addresses = std::vector<boost::asio::ip::address>;
  using LookUp = std::function<Result<Addresses>(const std::string& host)>;

  // `look_up` runs on the pool, for hosts that are no addresses; kRetry with the reason.
  Connector(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
            LookUp look_up = LookUpBySystem);

  // The address that worked last comes first, then the resolver's order; each gets its share of the time that is left,
  // and the last one all of it, so the caller watches over the deadline. Errors read "cannot connect to
  // https://10.0.0.1:6443: connection refused"; kinds as of ConnectTo.
  Task<ConnectionResult> Connect(std::shared_ptr<const Access> access, MonoTime deadline);

  // Waits for look-ups under way. Required before destruction.
  Task<void> Close() { return calls_.Close(); }

 private:
  static Result<Addresses> LookUpBySystem(const std::string& host);
  Task<Result<Addresses>> Find(std::string host);

  async::Timeline& timeline_;
  const LookUp look_up_;
  async::BlockingCalls calls_;
  std::optional<boost::asio::ip::address> last_good_;
};

}  // namespace daemonsetd::kube
