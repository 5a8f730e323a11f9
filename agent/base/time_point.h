// Time as values. Nothing in base, model or decide reads a clock: the caller passes the moment in.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace daemonsetd {

using Nanoseconds = std::chrono::nanoseconds;
using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

// Intervals and timers: never jumps.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Nanoseconds>;
// What people and other machines are told: may jump.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Nanoseconds>;

// One moment on both clocks.
struct Now {
  MonoTime mono;
  WallTime wall;
};

// "2026-11-25T00:18:32Z", as metav1.Time prints.
std::string FormatRfc3339(WallTime time);

// Two units at most, as kubectl's AGE column: "45s", "3m20s", "5d3h", "2y".
std::string FormatAge(Nanoseconds age);

// "1m0s", "1.5s", "250ms": Go's duration text.
std::string FormatDuration(Nanoseconds duration);

}  // namespace daemonsetd
