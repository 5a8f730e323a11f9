// The way to the service manager, as sd_notify(3) describes it: datagrams with lines of KEY=VALUE. Our own sender, for
// libsystemd brings five shared libraries (compression, cryptography, capabilities) for one sendto(2), into a process
// that counts its memory in single mebibytes.
#pragma once

#include <string>
#include <string_view>

#include "agent/async/descriptor.h"
#include "agent/base/result.h"

namespace daemonsetd::service {

class NotifySocket {
 public:
  // No address: what is sent goes nowhere, and that is no error.
  NotifySocket() = default;
  // `address`: a path, or "@name" in the abstract name space. kInvalid for anything else.
  static Result<NotifySocket> Open(const std::string& address);

  bool connected() const { return static_cast<bool>(socket_); }

  // Does not block. kRetry: the manager does not listen now, or has too much to read.
  Status Send(std::string_view message) const;

 private:
  std::string name_;  // as the kernel wants it: an abstract one begins with a zero byte
  async::Descriptor socket_;
};

}  // namespace daemonsetd::service
