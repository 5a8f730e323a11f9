#include "agent/decide/crash_loop.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/duration.h"
#include "agent/decide/labels.h"

namespace daemonsetd::decide {
namespace {

void Read(const corev1::Pod& pod, const char* annotation, Nanoseconds at_most, Nanoseconds& value,
          std::vector<std::string>& problems) {
  const auto found = pod.metadata().annotations().find(annotation);
  if (found == pod.metadata().annotations().end()) return;
  const auto duration = ParseDuration(found->second);
  if (!duration) {
    problems.push_back(fmt::format("metadata.annotations[{}]: {}", annotation, duration.error().message()));
  } else if (*duration < std::chrono::seconds(1) || *duration > at_most) {
    problems.push_back(fmt::format("metadata.annotations[{}]: {} is not between 1s and {}", annotation, found->second,
                                   FormatDuration(at_most)));
  } else {
    value = *duration;
  }
}

}  // namespace

CrashLoop CrashLoopOf(const corev1::Pod& pod, const BackoffLimits& node) {
  CrashLoop result{.limits = node, .problems = {}};
  Read(pod, kCrashLoopMaximumAnnotation, std::chrono::hours(1), result.limits.maximum, result.problems);
  Read(pod, kCrashLoopResetAfterAnnotation, std::chrono::hours(24), result.limits.reset_after, result.problems);
  result.limits.initial = std::min(result.limits.initial, result.limits.maximum);
  return result;
}

}  // namespace daemonsetd::decide
