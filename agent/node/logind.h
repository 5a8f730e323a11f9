// systemd-logind: a lock that delays the machine's shutdown, and word of one that begins (org.freedesktop.login1).
// Everything on the loop thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/async/descriptor.h"
#include "agent/async/timeline.h"
#include "agent/base/trouble.h"
#include "agent/node/system_bus.h"

namespace daemonsetd::node {

class Logind {
 public:
  // `on_change` is called on the loop when any answer below may be another.
  Logind(const async::Executor& executor, async::Timeline& timeline, std::function<void()> on_change);

  // Takes the lock and watches, until cancelled; where the bus or logind goes away, again when it is back (LC-30).
  Task<void> Run();

  // A shutdown has begun and was not called off.
  bool preparing() const { return preparing_; }
  bool holds_lock() const { return static_cast<bool>(lock_); }
  // The longest delay that logind grants (InhibitDelayMaxSec); unset: not known.
  std::optional<Nanoseconds> longest_delay() const { return longest_delay_; }
  // Why there is no lock; empty while all is well.
  const std::string& problem() const { return trouble_.problem(); }

  // What had to be done before the shutdown is done.
  void LetGo();
  // After a shutdown that was called off.
  void TakeLock();

 private:
  Status Subscribe();
  // True when the answer is none. `what` could not be done.
  bool Failed(sd_bus_message* answer, const char* what);
  void Prepare(bool begins);

  static int OnPrepare(sd_bus_message* message, void* self, sd_bus_error* error);
  static int OnOwnerChanged(sd_bus_message* message, void* self, sd_bus_error* error);
  static int OnDelay(sd_bus_message* answer, void* self, sd_bus_error* error);
  static int OnPreparing(sd_bus_message* answer, void* self, sd_bus_error* error);
  static int OnLock(sd_bus_message* answer, void* self, sd_bus_error* error);

  async::Timeline& timeline_;
  std::function<void()> on_change_;
  SystemBus bus_;
  async::Descriptor lock_;
  bool preparing_ = false;
  std::optional<Nanoseconds> longest_delay_;
  Trouble trouble_;
};

}  // namespace daemonsetd::node
