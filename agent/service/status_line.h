// The line that `systemctl status` shows. Pure.
#pragma once

#include <string>
#include <string_view>

namespace daemonsetd::service {

struct StatusFacts {
  int pods_ready = 0;
  int pods_desired = 0;
  bool runtime_connected = false;
  std::string runtime_error;  // the last, empty before the first answer
  std::string api_server;     // as statusv1.Status.api_server; empty: there is none
  int warnings = 0;           // that `daemonsetctl get status` tells
};

// "12/12 pods ready; container runtime connected; API server reachable".
std::string StatusLine(const StatusFacts& facts);

// As the value of a message to the service manager: one line of valid UTF-8 that is not too long. Texts of errors hold
// what others answered.
std::string OneLine(std::string_view text);

}  // namespace daemonsetd::service
