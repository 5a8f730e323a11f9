#include "agent/node/pressure_stall.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <string_view>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/async/descriptor.h"

namespace daemonsetd::node {
namespace {

// Microseconds. A window of two seconds is open to everybody (kernel 6.4); the terminating zero belongs to it.
constexpr std::string_view kTrigger("some 200000 2000000\0", 20);

}  // namespace

PressureStall::PressureStall(async::Executor executor, const std::string& path) {
  async::Descriptor file(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!file || ::write(file.get(), kTrigger.data(), kTrigger.size()) < 0) return;
  descriptor_.emplace(std::move(executor), file.Release());
}

Task<bool> PressureStall::Wait() {
  boost::system::error_code error;
  co_await descriptor_->async_wait(boost::asio::posix::stream_descriptor::wait_error,
                                   boost::asio::redirect_error(boost::asio::use_awaitable, error));
  if (error == boost::asio::error::operation_aborted) throw boost::system::system_error(error);
  pollfd asked{.fd = descriptor_->native_handle(), .events = POLLPRI, .revents = 0};
  ::poll(&asked, 1, 0);
  co_return !error && (asked.revents & (POLLERR | POLLNVAL)) == 0;
}

}  // namespace daemonsetd::node
