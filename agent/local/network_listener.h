// Takes connections on an address of the network, for scrapers that cannot reach a Unix socket. An address that is
// taken, or that the machine gets later, holds nothing up: it is tried again. Everything on the loop thread.
#pragma once

#include <functional>
#include <string>

#include "agent/async/task.h"
#include "agent/async/timeline.h"
#include "agent/base/result.h"
#include "agent/base/trouble.h"

#include <boost/asio/ip/tcp.hpp>

namespace daemonsetd::local {

class NetworkListener {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  // `address`: "127.0.0.1:9100", as model::ParseAddressPort takes it. `timeline` must outlive it.
  NetworkListener(async::Executor executor, async::Timeline& timeline, std::string address,
                  std::function<void(Socket)> on_connection);

  // Until cancelled. Once.
  Task<void> Run();

 private:
  Status Listen();

  async::Executor executor_;
  async::Timeline& timeline_;
  const std::string address_;
  const std::function<void(Socket)> on_connection_;
  boost::asio::ip::tcp::acceptor acceptor_;
  Trouble trouble_;
};

}  // namespace daemonsetd::local
