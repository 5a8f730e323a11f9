// A scripted server on loopback for probe tests: answers with given bytes, and remembers what it saw.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/async/task.h"

namespace daemonsetd::testing {

class ProbeServer {
 public:
  struct Script {
    // Bytes for the n-th connection, from its request; "" answers nothing.
    std::function<std::string(int number, const std::string& request)> answer;
    bool stays = false;    // keeps the connection open after the answer
    bool endless = false;  // repeats the answer's last bytes until the client is gone
    bool first = false;    // speaks without waiting for a request
    bool tls = false;      // with a self-signed certificate made for this server
  };

  ProbeServer(async::Executor executor, Script script);
  // Closes everything. Run the loop once more before it is destroyed (TestLoop::Settle).
  ~ProbeServer();

  int port() const;
  int connections() const;
  // Connections whose end was a reset.
  int resets() const;
  const std::vector<std::string>& requests() const;
  // The name that the last TLS client asked for.
  const std::string& server_name() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace daemonsetd::testing
