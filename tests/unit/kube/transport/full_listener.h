// A listener on loopback whose queue is full: it drops further attempts to connect, as a dead host does.
#pragma once

#include <array>
#include <string>

#include "agent/async/descriptor.h"

namespace daemonsetd::testing {

class FullListener {
 public:
  // `port` 0: any free one.
  explicit FullListener(const std::string& address, int port = 0);

  int port() const { return port_; }

 private:
  async::Descriptor listener_;
  std::array<async::Descriptor, 3> fillers_;
  int port_ = 0;
};

}  // namespace daemonsetd::testing
