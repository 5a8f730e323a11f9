#include "agent/service/reporter.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/service/status_line.h"

namespace daemonsetd::service {
namespace {

// Between two status lines, and between two looks whether what hung goes on again.
constexpr Nanoseconds kPause = std::chrono::seconds(1);

std::int64_t Microseconds(Nanoseconds duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace

Reporter::Reporter(async::Executor executor, async::Timeline& timeline, Environment environment, Sources sources)
    : timeline_(timeline), environment_(std::move(environment)), sources_(std::move(sources)), wake_(executor) {}

Status Reporter::Open() {
  auto socket = NotifySocket::Open(environment_.notify_socket);
  if (!socket) return socket.error();
  socket_ = std::move(*socket);
  return Ok();
}

void Reporter::Send(std::string message) {
  if (!socket_.connected()) return;
  undelivered_.push_back(std::move(message));
  Deliver();
}

void Reporter::Deliver() {
  while (!undelivered_.empty()) {
    if (const Status sent = socket_.Send(undelivered_.front()); !sent) {
      log::Debug("a message waits for the service manager", {{"err", sent.error().message()}});
      wake_.Notify();
      return;
    }
    undelivered_.erase(undelivered_.begin());
  }
}

void Reporter::Ready() {
  ready_ = true;
  told_status_ = OneLine(sources_.status());
  Send("READY=1\nSTATUS=" + told_status_);
}

// By the time, which must be CLOCK_MONOTONIC's, the manager tells this reload from one before.
void Reporter::Reloading() {
  Send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reading the configuration again",
                   Microseconds(timeline_.mono().time_since_epoch())));
}

void Reporter::Stopping(Nanoseconds at_most) {
  Send(fmt::format("STOPPING=1\nEXTEND_TIMEOUT_USEC={}\nSTATUS=stopping; containers keep running",
                   Microseconds(at_most)));
}

void Reporter::TellStatus() {
  std::string status = OneLine(sources_.status());
  if (!ready_ || status == told_status_) return;
  Send("STATUS=" + status);
  told_status_ = std::move(status);
}

void Reporter::TellAlive() {
  const MonoTime now = timeline_.mono();
  if (!environment_.watchdog || now < next_sign_ || !IsAlive()) return;
  Send("WATCHDOG=1");
  next_sign_ = now + *environment_.watchdog / 2;
}

bool Reporter::IsAlive() {
  const std::vector<decide::HealthCheck> checks = sources_.liveness();
  const auto stuck = std::find_if(checks.begin(), checks.end(), [](const auto& check) { return !check.passed; });
  const std::string name = stuck == checks.end() ? std::string() : stuck->name;
  if (name == told_stuck_) return name.empty();
  if (name.empty()) {
    log::Info("the agent gets on again", {{"check", told_stuck_}});
  } else {
    log::Error("the agent hangs; the service manager will end it and start it again",
               {{"check", name}, {"err", stuck->detail}});
  }
  told_stuck_ = name;
  return name.empty();
}

Task<void> Reporter::Run() {
  if (!socket_.connected()) co_return;
  for (;;) {
    Deliver();
    if (undelivered_.empty()) {  // else a sign of life could arrive long after it was given
      TellStatus();
      TellAlive();
    }
    co_await timeline_.SleepFor(kPause);
    if (!undelivered_.empty() || !told_stuck_.empty()) continue;
    co_await wake_.WaitUntil(timeline_, environment_.watchdog ? std::optional(next_sign_) : std::nullopt);
  }
}

}  // namespace daemonsetd::service
