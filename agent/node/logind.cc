#include "agent/node/logind.h"

#include <fcntl.h>

#include <cstdint>
#include <cstring>

#include "agent/base/backoff.h"
#include "agent/base/log.h"

namespace daemonsetd::node {
namespace {

constexpr char kService[] = "org.freedesktop.login1";
constexpr char kPath[] = "/org/freedesktop/login1";
constexpr char kManager[] = "org.freedesktop.login1.Manager";
constexpr char kBus[] = "org.freedesktop.DBus";
constexpr char kBusPath[] = "/org/freedesktop/DBus";
constexpr char kProperties[] = "org.freedesktop.DBus.Properties";

constexpr BackoffLimits kReconnect{.initial = std::chrono::seconds(1), .maximum = std::chrono::minutes(1)};

Error BusError(const char* what, int result) {
  return Error(ErrorKind::kRetry, std::string(what) + ": " + std::strerror(-result));
}

}  // namespace

Logind::Logind(const async::Executor& executor, async::Timeline& timeline, std::function<void()> on_change)
    : timeline_(timeline),
      on_change_(std::move(on_change)),
      bus_(executor),
      trouble_("shutdowns of this machine are not waited for", "shutdowns of this machine are waited for") {}

Task<void> Logind::Run() {
  Backoff backoff(kReconnect);
  for (;;) {
    Status opened = bus_.Open();
    if (opened) opened = Subscribe();
    if (opened) {
      const Error ended = co_await bus_.Serve(&timeline_);
      trouble_.Tell(ended);
      if (holds_lock()) backoff.Reset();
    } else {
      trouble_.Tell(opened.error());
    }
    bus_.Close();
    lock_ = async::Descriptor();
    on_change_();
    backoff.Fail(timeline_.mono());
    co_await timeline_.SleepUntil(*backoff.due());
  }
}

Status Logind::Subscribe() {
  const SystemdLibrary& library = bus_.library();
  int result = library.match_signal_async(bus_.get(), nullptr, kService, kPath, kManager, "PrepareForShutdown",
                                          OnPrepare, nullptr, this);
  if (result < 0) return BusError("cannot watch for shutdowns", result);
  result = library.match_signal_async(bus_.get(), nullptr, kBus, kBusPath, kBus, "NameOwnerChanged", OnOwnerChanged,
                                      nullptr, this);
  if (result < 0) return BusError("cannot watch logind", result);
  TakeLock();
  return Ok();
}

void Logind::TakeLock() {
  const SystemdLibrary& library = bus_.library();
  lock_ = async::Descriptor();
  if (bus_.get() == nullptr) return;
  int result = library.call_method_async(bus_.get(), nullptr, kService, kPath, kProperties, "Get", OnDelay, this, "ss",
                                         kManager, "InhibitDelayMaxUSec");
  if (result >= 0) {
    result = library.call_method_async(bus_.get(), nullptr, kService, kPath, kProperties, "Get", OnPreparing, this,
                                       "ss", kManager, "PreparingForShutdown");
  }
  if (result >= 0) {
    result = library.call_method_async(bus_.get(), nullptr, kService, kPath, kManager, "Inhibit", OnLock, this, "ssss",
                                       "shutdown", "daemonsetd", "The pods of this node are stopped in order", "delay");
  }
  if (result < 0) trouble_.Tell(BusError("cannot ask logind", result));
}

void Logind::LetGo() { lock_ = async::Descriptor(); }

bool Logind::Failed(sd_bus_message* answer, const char* what) {
  const sd_bus_error* error = bus_.library().message_get_error(answer);
  if (error == nullptr) return false;
  const char* text = error->message != nullptr ? error->message : error->name;
  trouble_.Tell(Error(ErrorKind::kRetry, std::string(what) + ": " + (text != nullptr ? text : "no reason given")));
  on_change_();
  return true;
}

void Logind::Prepare(bool begins) {
  if (begins == preparing_) return;
  preparing_ = begins;
  log::Info(begins ? "the machine shuts down" : "the shutdown was called off");
  on_change_();
}

int Logind::OnPrepare(sd_bus_message* message, void* self, sd_bus_error*) {
  auto& logind = *static_cast<Logind*>(self);
  int begins = 0;
  const int result = logind.bus_.library().message_read(message, "b", &begins);
  if (result >= 0) logind.Prepare(begins != 0);
  return result < 0 ? result : 0;
}

// A logind that starts anew has forgotten the lock.
int Logind::OnOwnerChanged(sd_bus_message* message, void* self, sd_bus_error*) {
  auto& logind = *static_cast<Logind*>(self);
  const char* name = nullptr;
  const char* before = nullptr;
  const char* now = nullptr;
  const int result = logind.bus_.library().message_read(message, "sss", &name, &before, &now);
  if (result < 0) return result;
  if (std::strcmp(name, kService) != 0) return 0;
  if (*now != '\0') {
    logind.TakeLock();
  } else {
    logind.LetGo();
    logind.on_change_();
  }
  return 0;
}

int Logind::OnDelay(sd_bus_message* answer, void* self, sd_bus_error*) {
  auto& logind = *static_cast<Logind*>(self);
  if (logind.Failed(answer, "cannot read logind's InhibitDelayMaxSec")) return 0;
  std::uint64_t microseconds = 0;
  const int result = logind.bus_.library().message_read(answer, "v", "t", &microseconds);
  if (result < 0) return result;
  const std::uint64_t most = static_cast<std::uint64_t>(std::chrono::microseconds(std::chrono::hours(24)).count());
  logind.longest_delay_ = std::chrono::microseconds(std::min(microseconds, most));
  logind.on_change_();
  return 0;
}

int Logind::OnPreparing(sd_bus_message* answer, void* self, sd_bus_error*) {
  auto& logind = *static_cast<Logind*>(self);
  if (logind.Failed(answer, "cannot ask logind whether the machine shuts down")) return 0;
  int preparing = 0;
  const int result = logind.bus_.library().message_read(answer, "v", "b", &preparing);
  if (result >= 0) logind.Prepare(preparing != 0);
  return result < 0 ? result : 0;
}

int Logind::OnLock(sd_bus_message* answer, void* self, sd_bus_error*) {
  auto& logind = *static_cast<Logind*>(self);
  if (logind.Failed(answer, "logind refuses the lock that delays a shutdown")) return 0;
  int lock = -1;
  const int result = logind.bus_.library().message_read(answer, "h", &lock);
  if (result < 0) return result;
  logind.lock_ = async::Descriptor(::fcntl(lock, F_DUPFD_CLOEXEC, 3));  // the message's own is closed with it
  if (logind.holds_lock()) {
    logind.trouble_.End();
    log::Info("logind waits for this node's pods when the machine shuts down");
  } else {
    logind.trouble_.Tell(BusError("cannot keep the lock that delays a shutdown", -errno));
  }
  logind.on_change_();
  return 0;
}

}  // namespace daemonsetd::node
