#include "agent/decide/probe_rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/digest.h"

namespace daemonsetd::decide {
namespace {

// The upstream minimum, also where an object escaped defaulting.
int AtLeastOne(int threshold) { return std::max(threshold, 1); }

std::string_view LowerCase(ProbeRole role) { return role == ProbeRole::kStartup ? "startup" : "liveness"; }

}  // namespace

std::string_view ToString(ProbeRole role) {
  switch (role) {
    case ProbeRole::kStartup: return "Startup";
    case ProbeRole::kLiveness: return "Liveness";
    case ProbeRole::kReadiness: return "Readiness";
  }
  return "";
}

const corev1::Probe* ProbeOf(const corev1::Container& container, ProbeRole role) {
  switch (role) {
    case ProbeRole::kStartup: return container.has_startupprobe() ? &container.startupprobe() : nullptr;
    case ProbeRole::kLiveness: return container.has_livenessprobe() ? &container.livenessprobe() : nullptr;
    case ProbeRole::kReadiness: return container.has_readinessprobe() ? &container.readinessprobe() : nullptr;
  }
  return nullptr;
}

bool IsStarted(const corev1::Container& container, const InstanceMemory* instance) {
  if (instance && instance->post_start_pending) return false;
  return !container.has_startupprobe() || (instance && instance->started.value_or(false));
}

bool IsReady(const corev1::Container& container, const InstanceMemory* instance) {
  if (!IsStarted(container, instance)) return false;
  return !container.has_readinessprobe() || (instance && instance->ready.value_or(false));
}

bool ShouldProbe(const corev1::Container& container, ProbeRole role, const InstanceMemory* instance, bool terminating) {
  if (!ProbeOf(container, role)) return false;
  if (role == ProbeRole::kReadiness) return IsStarted(container, instance);
  if (terminating || (instance && (instance->kill || instance->post_start_pending))) return false;
  return IsStarted(container, instance) == (role == ProbeRole::kLiveness);
}

bool ApplyProbeResult(const corev1::Pod& pod, const corev1::Container& container, ProbeRole role, bool success,
                      InstanceMemory& instance) {
  const corev1::Probe* probe = ProbeOf(container, role);
  if (!probe) return false;
  ProbeStreak& streak = instance.streaks[role];
  streak.length = streak.success == success ? streak.length + 1 : 1;
  streak.success = success;
  const int threshold = AtLeastOne(success ? probe->successthreshold() : probe->failurethreshold());
  if (streak.length < threshold) return false;
  if (role == ProbeRole::kReadiness) {
    const bool news = instance.ready != success;
    instance.ready = success;
    return news;
  }
  if (success) {
    if (role != ProbeRole::kStartup || instance.started == true) return false;
    instance.started = true;
    return true;
  }
  if (instance.kill) return false;
  const std::int64_t grace = probe->has_terminationgraceperiodseconds() ? probe->terminationgraceperiodseconds()
                                                                        : pod.spec().terminationgraceperiodseconds();
  instance.kill = ContainerKill{
      .grace = Seconds(grace),
      .message = fmt::format("Container {} failed {} probe, will be restarted", container.name(), LowerCase(role))};
  return true;
}

Nanoseconds FirstProbeDelay(const corev1::Probe& probe, Nanoseconds age, bool adopted, std::string_view container_id) {
  const Nanoseconds initial = Seconds(probe.initialdelayseconds()) - std::max(age, Nanoseconds::zero());
  Nanoseconds delay = std::max(initial, Nanoseconds::zero());
  if (adopted) {
    const Nanoseconds period = Seconds(AtLeastOne(probe.periodseconds()));
    delay += Nanoseconds(static_cast<std::int64_t>(Fnv1a64(container_id)) & INT64_MAX) % period;
  }
  return delay;
}

}  // namespace daemonsetd::decide
