#include "agent/decide/api_time.h"

#include <algorithm>
#include <limits>

namespace daemonsetd::decide {
namespace {

constexpr std::int64_t kMostSeconds = std::numeric_limits<std::int64_t>::max() / 1'000'000'000 - 1;
constexpr std::int32_t kMostNanos = 999'999'999;

WallTime From(std::int64_t seconds, std::int32_t nanos) {
  return WallTime(Seconds(std::clamp(seconds, -kMostSeconds, kMostSeconds)) +
                  Nanoseconds(std::clamp(nanos, 0, kMostNanos)));
}

}  // namespace

metav1::Time ToApiTime(WallTime time) {
  metav1::Time result;
  result.set_seconds(std::chrono::floor<Seconds>(time).time_since_epoch().count());
  return result;
}

WallTime FromApiTime(const metav1::Time& time) { return From(time.seconds(), time.nanos()); }

metav1::MicroTime ToApiMicroTime(WallTime time) {
  const auto seconds = std::chrono::floor<Seconds>(time);
  const auto micros = std::chrono::floor<std::chrono::microseconds>(time - seconds);
  metav1::MicroTime result;
  result.set_seconds(seconds.time_since_epoch().count());
  result.set_nanos(static_cast<std::int32_t>(Nanoseconds(micros).count()));
  return result;
}

WallTime FromApiMicroTime(const metav1::MicroTime& time) { return From(time.seconds(), time.nanos()); }

}  // namespace daemonsetd::decide
