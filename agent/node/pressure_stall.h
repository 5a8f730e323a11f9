// The kernel's word that processes wait for memory or for the disk (PSI, /proc/pressure): told at once, where somebody
// who looks every few seconds would come late.
#pragma once

#include <optional>
#include <string>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "agent/async/task.h"

namespace daemonsetd::node {

class PressureStall {
 public:
  // `path`: /proc/pressure/memory, or another one there.
  PressureStall(async::Executor executor, const std::string& path);

  // The kernel takes the trigger: it has PSI, and we may use it.
  bool works() const { return descriptor_.has_value(); }
  // Until processes have waited for a tenth of two seconds. False: it does not work any more. Cancellable.
  Task<bool> Wait();

 private:
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
};

}  // namespace daemonsetd::node
