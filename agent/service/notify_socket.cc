#include "agent/service/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <system_error>

#include <fmt/format.h>

namespace daemonsetd::service {

Result<NotifySocket> NotifySocket::Open(const std::string& address) {
  NotifySocket opened;
  if (address.empty()) return opened;
  if ((address.front() != '/' && address.front() != '@') || address.size() < 2 ||
      address.size() >= sizeof sockaddr_un::sun_path) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("NOTIFY_SOCKET=\"{}\" is neither an absolute path nor @name of at most {} bytes", address,
                             sizeof sockaddr_un::sun_path - 1));
  }
  opened.name_ = address;
  if (address.front() == '@') opened.name_.front() = '\0';
  opened.socket_ = async::Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!opened.socket_) {
    return Error(ErrorKind::kFatal,
                 "cannot make a socket for the service manager: " + std::generic_category().message(errno));
  }
  return opened;
}

Status NotifySocket::Send(std::string_view message) const {
  if (!socket_) return Ok();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name_.copy(address.sun_path, sizeof address.sun_path);
  // The length counts: an abstract name has no end of its own.
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
  // Connected anew each time: the manager's socket may be another one after it was upgraded.
  if (::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
               length) < 0) {
    return Error(ErrorKind::kRetry, "cannot tell the service manager: " + std::generic_category().message(errno));
  }
  return Ok();
}

}  // namespace daemonsetd::service
