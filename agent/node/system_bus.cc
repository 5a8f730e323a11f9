#include "agent/node/system_bus.h"

#include <dlfcn.h>
#include <poll.h>

#include <cstdint>
#include <cstring>

namespace daemonsetd::node {
namespace {

constexpr char kLibrary[] = "libsystemd.so.0";

template <class Function>
bool Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

Error BusError(const std::string& what, int result) {
  return Error(ErrorKind::kRetry, "the system bus: " + what + ": " + std::strerror(-result));
}

}  // namespace

Result<SystemdLibrary> LoadSystemdLibrary() {
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Error(ErrorKind::kUnsupported, std::string("no ") + kLibrary + " on this machine");
  SystemdLibrary found{};
  const bool complete =
      Find(library, "sd_bus_open_system", found.open_system) &&
      Find(library, "sd_bus_close_unref", found.close_unref) && Find(library, "sd_bus_get_fd", found.get_fd) &&
      Find(library, "sd_bus_get_events", found.get_events) && Find(library, "sd_bus_get_timeout", found.get_timeout) &&
      Find(library, "sd_bus_process", found.process) &&
      Find(library, "sd_bus_match_signal_async", found.match_signal_async) &&
      Find(library, "sd_bus_call_method_async", found.call_method_async) &&
      Find(library, "sd_bus_message_get_error", found.message_get_error) &&
      Find(library, "sd_bus_message_read", found.message_read) &&
      Find(library, "sd_bus_match_signal", found.match_signal) && Find(library, "sd_bus_wait", found.wait) &&
      Find(library, "sd_bus_call", found.call) && Find(library, "sd_bus_error_free", found.error_free) &&
      Find(library, "sd_bus_message_new_method_call", found.message_new_method_call) &&
      Find(library, "sd_bus_message_append", found.message_append) &&
      Find(library, "sd_bus_message_open_container", found.message_open_container) &&
      Find(library, "sd_bus_message_close_container", found.message_close_container) &&
      Find(library, "sd_bus_message_unref", found.message_unref);
  if (!complete) return Error(ErrorKind::kUnsupported, std::string(kLibrary) + " of this machine is too old");
  return found;
}

Status SystemBus::Open() {
  if (!library_) {
    auto loaded = LoadSystemdLibrary();
    if (!loaded) return loaded.error();
    library_ = *loaded;
  }
  if (const int result = library_->open_system(&bus_); result < 0) {
    bus_ = nullptr;
    return BusError("cannot connect", result);
  }
  const int fd = library_->get_fd(bus_);
  if (fd < 0) return BusError("no socket", fd);
  socket_.emplace(executor_, fd);
  return Ok();
}

void SystemBus::Close() {
  if (socket_) {
    socket_->release();  // waits under way end; the descriptor stays the library's
    socket_.reset();
  }
  armed_.reset();
  if (bus_ != nullptr) library_->close_unref(bus_);
  bus_ = nullptr;
}

Result<bool> SystemBus::ProcessOne() {
  const int result = library_->process(bus_, nullptr);
  if (result < 0) return BusError("the connection ended", result);
  return result > 0;
}

void SystemBus::Arm() {
  if (armed_) return;
  armed_ = std::make_shared<bool>(true);
  const int events = library_->get_events(bus_);
  const auto kind = (events & POLLOUT) != 0 ? socket_->wait_write : socket_->wait_read;
  socket_->async_wait(kind, [this, alive = std::weak_ptr(armed_)](const boost::system::error_code&) {
    if (alive.expired()) return;
    armed_.reset();
    wake_.Notify();
  });
}

Task<Error> SystemBus::Serve(async::Timeline* timeline) {
  for (;;) {
    auto more = ProcessOne();
    while (more && *more) more = ProcessOne();
    if (!more) co_return more.error();
    Arm();
    std::optional<MonoTime> deadline;
    std::uint64_t timeout = UINT64_MAX;  // microseconds of the monotonic clock
    if (library_->get_timeout(bus_, &timeout) >= 0 && timeout != UINT64_MAX) {
      deadline = MonoTime(std::chrono::microseconds(timeout));
    }
    co_await wake_.WaitUntil(*timeline, deadline);
  }
}

}  // namespace daemonsetd::node
