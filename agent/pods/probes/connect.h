// Connections for probes: names are looked up on the blocking pool, sockets are closed by a reset.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/async/blocking_calls.h"
#include "agent/base/result.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace daemonsetd::pods {

// A look-up cannot be taken back, so one that nobody waits for any more goes on; only a few do at the same time, and
// the others wait for them until their own deadline.
class NameLookup {
 public:
  NameLookup(async::Executor executor, async::BlockingPool& pool);

  // The addresses of `host`: itself when it is one. kRetry with the resolver's words.
  // Throws operation_aborted when the calling coroutine is cancelled.
  Task<Result<std::vector<boost::asio::ip::address>>> Find(std::string host);

  // Waits for the look-ups under way. Required before destruction.
  Task<void> Close() { return calls_.Close(); }

 private:
  async::BlockingCalls calls_;
};

// Connects to the first address of `host` that takes it. The socket sends a reset when it is closed: a probe must leave
// neither TIME_WAIT nor conntrack entries (PB-09). The error reads "dial tcp 10.0.0.1:80: connect: connection refused".
// Throws operation_aborted when the calling coroutine is cancelled.
Task<Result<boost::asio::ip::tcp::socket>> Connect(NameLookup* names, std::string host, std::uint16_t port);

// "10.0.0.1:80", "[::1]:80".
std::string JoinHostPort(std::string_view host, std::uint16_t port);

}  // namespace daemonsetd::pods
