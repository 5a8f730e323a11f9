#include "agent/service/environment.h"

#include <charconv>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

namespace daemonsetd::service {
namespace {

// We speak at half of it, and a node that starves makes us late. A kubelet refuses one second and less.
constexpr Nanoseconds kLeastWatchdog = std::chrono::seconds(2);
constexpr std::int64_t kMostMicroseconds = std::int64_t{365} * 24 * 3600 * 1'000'000;

std::string Value(const std::function<const char*(const char*)>& get, const char* name) {
  const char* value = get(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

Error NotANumber(const char* name, const std::string& value) {
  return Error(ErrorKind::kInvalid,
               fmt::format("{}=\"{}\" is not a number; the service manager sets it from WatchdogSec=", name, value));
}

}  // namespace

Result<Environment> ReadEnvironment(const std::function<const char*(const char*)>& get, pid_t own) {
  Environment environment{.notify_socket = Value(get, "NOTIFY_SOCKET")};
  const std::string period = Value(get, "WATCHDOG_USEC");
  if (period.empty()) return environment;
  const std::string pid = Value(get, "WATCHDOG_PID");
  const auto meant = ParseNumber(pid);
  if (!pid.empty() && !meant) return NotANumber("WATCHDOG_PID", pid);
  if (meant && *meant != own) return environment;  // inherited from a parent that was meant
  const auto microseconds = ParseNumber(period);
  if (!microseconds || *microseconds > kMostMicroseconds) return NotANumber("WATCHDOG_USEC", period);
  if (*microseconds == 0) return environment;
  const Nanoseconds watchdog = std::chrono::microseconds(*microseconds);
  if (watchdog < kLeastWatchdog) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("the service manager's watchdog of {} is too short for a node under load: set "
                             "WatchdogSec= of the unit to {} or more, or to 0 for none",
                             FormatDuration(watchdog), FormatDuration(kLeastWatchdog)));
  }
  if (environment.notify_socket.empty()) {
    return Error(ErrorKind::kInvalid,
                 "the service manager has a watchdog for us, but no socket to feed it: the unit needs Type=notify");
  }
  environment.watchdog = watchdog;
  return environment;
}

}  // namespace daemonsetd::service
