#include "agent/base/time_point.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

namespace daemonsetd {
namespace {

using std::chrono::duration_cast;

}  // namespace

std::string FormatRfc3339(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)));
}

std::string FormatAge(Nanoseconds age) {
  const std::int64_t left = std::max<std::int64_t>(0, duration_cast<std::chrono::seconds>(age).count());
  // Kubernetes shows a second unit only while the first is small (apimachinery/pkg/util/duration).
  if (left < 120) return fmt::format("{}s", left);
  if (left < 600) return left % 60 == 0 ? fmt::format("{}m", left / 60) : fmt::format("{}m{}s", left / 60, left % 60);
  if (left < 3 * 3600) return fmt::format("{}m", left / 60);
  const std::int64_t minutes = left / 60 % 60;
  const std::int64_t hours = left / 3600;
  if (hours < 8) return minutes == 0 ? fmt::format("{}h", hours) : fmt::format("{}h{}m", hours, minutes);
  if (hours < 48) return fmt::format("{}h", hours);
  const std::int64_t days = hours / 24;
  if (days < 8) return hours % 24 == 0 ? fmt::format("{}d", days) : fmt::format("{}d{}h", days, hours % 24);
  if (days < 2 * 365) return fmt::format("{}d", days);
  const std::int64_t years = days / 365;
  if (years < 8) return days % 365 == 0 ? fmt::format("{}y", years) : fmt::format("{}y{}d", years, days % 365);
  return fmt::format("{}y", years);
}

std::string FormatDuration(Nanoseconds duration) {
  const bool negative = duration < Nanoseconds::zero();
  const std::int64_t nanos = negative ? -duration.count() : duration.count();
  std::string text;
  if (nanos == 0) return "0s";
  if (nanos < 1'000) {
    text = fmt::format("{}ns", nanos);
  } else if (nanos < 1'000'000) {
    text = fmt::format("{}µs", static_cast<double>(nanos) / 1e3);
  } else if (nanos < 1'000'000'000) {
    text = fmt::format("{}ms", static_cast<double>(nanos) / 1e6);
  } else {
    const std::int64_t total = nanos / 1'000'000'000;
    const double seconds = static_cast<double>(total % 60) + static_cast<double>(nanos % 1'000'000'000) / 1e9;
    if (total >= 3600) text = fmt::format("{}h", total / 3600);
    if (total >= 60) text += fmt::format("{}m", total / 60 % 60);
    text += fmt::format("{}s", seconds);
  }
  return negative ? "-" + text : text;
}

}  // namespace daemonsetd
