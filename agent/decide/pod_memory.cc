#include "agent/decide/pod_memory.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "agent/decide/crash_loop.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_spec.h"

namespace daemonsetd::decide {
namespace {

using ::runtime::v1::CONTAINER_EXITED;
using ::runtime::v1::ContainerStatus;
using ::runtime::v1::PodSandboxStatus;
using ::runtime::v1::SANDBOX_READY;

// The runtime's word is not trusted to be possible: between its two times may lie more than fits.
Nanoseconds RanFor(const ContainerStatus& exited) {
  std::int64_t ran = 0;
  if (exited.finished_at() <= exited.started_at()) return Nanoseconds::zero();
  if (__builtin_sub_overflow(exited.finished_at(), exited.started_at(), &ran)) return Nanoseconds::max();
  return Nanoseconds(ran);
}

// The wait that the next restart owes, from how the last life went.
Nanoseconds NextCrashDelay(const ContainerMemory& memory, const ContainerStatus& exited, const BackoffLimits& limits) {
  if (RanFor(exited) >= limits.reset_after) return Nanoseconds::zero();
  const std::uint32_t restarts = RestartCount(exited);
  if (memory.exited_id.empty()) {
    // First sight of this pod, perhaps after a restart of the agent: the restart count tells how far the loop was.
    Nanoseconds delay = Nanoseconds::zero();
    for (std::uint32_t i = 0; i < restarts && delay < limits.maximum; ++i) {
      delay = delay == Nanoseconds::zero() ? limits.initial : delay * 2;
    }
    return std::min(delay, limits.maximum);
  }
  if (restarts == 0) return Nanoseconds::zero();
  return memory.crash_delay == Nanoseconds::zero() ? limits.initial : std::min(memory.crash_delay * 2, limits.maximum);
}

// A sandbox that was seen alive and then dead by itself is made again after a growing wait (LC-11).
void RememberSandbox(const corev1::Pod& pod, const ObservedPod& observed, MonoTime now, const PlanLimits& limits,
                     PodMemory& memory) {
  const PodSandboxStatus* sandbox = observed.newest_sandbox();
  if (!sandbox) return;
  if (sandbox->state() == SANDBOX_READY) {
    if (memory.live_sandbox_id == sandbox->id()) return;
    memory.live_sandbox_id = sandbox->id();
    memory.live_since = now;
    return;
  }
  if (memory.live_sandbox_id != sandbox->id()) return;
  const Nanoseconds reset_after = CrashLoopOf(pod, limits.crash_loop).limits.reset_after;
  if (now - memory.live_since > reset_after) memory.sandbox_backoff.Reset();
  memory.sandbox_backoff.Fail(now);
  memory.live_sandbox_id.clear();
}

void RememberTerminalPhase(const corev1::Pod& pod, const ObservedPod& observed, PodMemory& memory) {
  if (!memory.terminal_phase.empty()) return;
  const PodSandboxStatus* sandbox = observed.newest_sandbox();
  if (!sandbox) return;
  bool failed = false;
  for (const corev1::Container& init : pod.spec().initcontainers()) {
    const ObservedContainer* instance = observed.Find(sandbox->id(), init.name());
    if (!instance || IsSidecar(init) || instance->status.state() != CONTAINER_EXITED) continue;
    if (instance->status.exit_code() != 0 && !ShouldRestart(pod, init, true, instance->status.exit_code())) {
      memory.terminal_phase = "Failed";
      return;
    }
  }
  for (const corev1::Container& container : pod.spec().containers()) {
    const ObservedContainer* instance = observed.Find(sandbox->id(), container.name());
    if (!instance || instance->status.state() != CONTAINER_EXITED) return;
    if (ShouldRestart(pod, container, false, instance->status.exit_code())) return;
    failed |= instance->status.exit_code() != 0;
  }
  memory.terminal_phase = failed ? "Failed" : "Succeeded";
}

}  // namespace

void Remember(const corev1::Pod& pod, const ObservedPod& observed, MonoTime now, const PlanLimits& limits,
              PodMemory& memory) {
  for (const ObservedContainer& container : observed.containers) {
    memory.instances[container.status.id()].observed = true;
  }
  // One that was just created may not have been observed yet.
  std::erase_if(memory.instances,
                [&](const auto& instance) { return instance.second.observed && !observed.FindId(instance.first); });
  std::set<std::string> seen;
  for (const ObservedContainer& container : observed.containers) {
    const std::string& name = container.status.metadata().name();
    if (!seen.insert(name).second || container.status.state() != CONTAINER_EXITED) continue;  // only the newest
    if (!FindContainer(pod, name)) continue;
    ContainerMemory& remembered = memory.containers[name];
    if (remembered.exited_id == container.status.id()) continue;
    const BackoffLimits crash_loop = CrashLoopOf(pod, limits.crash_loop).limits;
    remembered.crash_delay = NextCrashDelay(remembered, container.status, crash_loop);
    remembered.exited_id = container.status.id();
    remembered.exit_seen = now;
  }
  RememberSandbox(pod, observed, now, limits, memory);
  RememberTerminalPhase(pod, observed, memory);
}

std::uint32_t RestartCount(const ContainerStatus& status) {
  const auto annotation = status.annotations().find(kRestartCountAnnotation);
  if (annotation != status.annotations().end()) {
    std::uint32_t count = 0;
    const std::string& text = annotation->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error == std::errc() && end == text.data() + text.size()) return count;
  }
  return status.metadata().attempt();
}

}  // namespace daemonsetd::decide
