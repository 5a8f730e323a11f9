#include "tests/unit/kube/transport/full_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <stdexcept>

namespace daemonsetd::testing {

FullListener::FullListener(const std::string& address, int port)
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &place.sin_addr);
  auto* generic = reinterpret_cast<sockaddr*>(&place);
  socklen_t size = sizeof place;
  if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 0) != 0 ||
      ::getsockname(listener_.get(), generic, &size) != 0) {
    throw std::runtime_error("can't listen on " + address);
  }
  port_ = ntohs(place.sin_port);
  for (async::Descriptor& filler : fillers_) {
    filler = async::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(filler.get(), generic, size);
  }
}

}  // namespace daemonsetd::testing
