// The service manager's end of the notification socket.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/async/descriptor.h"
#include "tests/support/temporary_directory.h"

namespace daemonsetd::testing {

class ManagerSocket {
 public:
  enum class Kind { kPath, kAbstract };

  explicit ManagerSocket(Kind kind = Kind::kPath) {
    address_ = kind == Kind::kPath ? path_ : "@" + path_;
    Listen();
  }
  ~ManagerSocket() { Close(); }
  ManagerSocket(const ManagerSocket&) = delete;
  ManagerSocket& operator=(const ManagerSocket&) = delete;

  const std::string& address() const { return address_; }

  void Listen() {
    socket_ = async::Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    address_.copy(address.sun_path, sizeof address.sun_path);
    if (address_.front() == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
      throw std::runtime_error("bind " + address_);
    }
  }
  void Close() {
    socket_ = async::Descriptor();
    ::unlink(path_.c_str());
  }

  // What came since the last call.
  std::vector<std::string> Read() {
    std::vector<std::string> messages;
    char buffer[4096];
    for (;;) {
      const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (size < 0) return messages;
      messages.emplace_back(buffer, static_cast<std::size_t>(size));
    }
  }

 private:
  const TemporaryDirectory directory_;
  const std::string path_ = (directory_.path() / "notify").string();
  std::string address_;
  async::Descriptor socket_;
};

}  // namespace daemonsetd::testing
