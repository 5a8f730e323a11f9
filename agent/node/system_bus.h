// The system's D-Bus, through libsystemd, which is loaded when the first connection is made: it brings five libraries
// along, which an agent that does not wait for shutdowns need not carry. Everything on the loop thread.
#pragma once

#include <systemd/sd-bus.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/async/task.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/result.h"

#include <boost/asio/posix/stream_descriptor.hpp>

namespace daemonsetd::node {

// The functions of libsystemd that are used, with the library's own types.
struct SystemdLibrary {
  decltype(&::sd_bus_open_system) open_system;
  decltype(&::sd_bus_close_unref) close_unref;
  decltype(&::sd_bus_get_fd) get_fd;
  decltype(&::sd_bus_get_events) get_events;
  decltype(&::sd_bus_get_timeout) get_timeout;
  decltype(&::sd_bus_process) process;
  decltype(&::sd_bus_match_signal_async) match_signal_async;
  decltype(&::sd_bus_call_method_async) call_method_async;
  decltype(&::sd_bus_message_get_error) message_get_error;
  decltype(&::sd_bus_message_read) message_read;
  decltype(&::sd_bus_match_signal) match_signal;
  decltype(&::sd_bus_wait) wait;
  decltype(&::sd_bus_call) call;
  decltype(&::sd_bus_error_free) error_free;
  decltype(&::sd_bus_message_new_method_call) message_new_method_call;
  decltype(&::sd_bus_message_append) message_append;
  decltype(&::sd_bus_message_open_container) message_open_container;
  decltype(&::sd_bus_message_close_container) message_close_container;
  decltype(&::sd_bus_message_unref) message_unref;
};

// It stays loaded. kUnsupported: this machine has none.
Result<SystemdLibrary> LoadSystemdLibrary();

// One connection.
class SystemBus {
 public:
  explicit SystemBus(const async::Executor& executor) : executor_(executor), wake_(executor) {}
  ~SystemBus() { Close(); }
  SystemBus(const SystemBus&) = delete;
  SystemBus& operator=(const SystemBus&) = delete;

  Status Open();
  void Close();
  // Calls back what arrives, until the connection ends or the caller is cancelled. Answers why it ended.
  // `timeline` must outlive the call.
  Task<Error> Serve(async::Timeline* timeline);

  // Of an open connection. Negative results of libsystemd are errors of ours.
  const SystemdLibrary& library() const { return *library_; }
  sd_bus* get() { return bus_; }

 private:
  // One of what waits; false: nothing does.
  Result<bool> ProcessOne();
  void Arm();

  async::Executor executor_;
  async::Wake wake_;
  std::optional<SystemdLibrary> library_;
  sd_bus* bus_ = nullptr;
  std::optional<boost::asio::posix::stream_descriptor> socket_;  // the library's descriptor: never closed here
  std::shared_ptr<bool> armed_;                                  // a wait for the socket is under way
};

}  // namespace daemonsetd::node
