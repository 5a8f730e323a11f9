#include "agent/pods/pod_probes.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/probe_rules.h"
#include "agent/pods/probe_target.h"

namespace daemonsetd::pods {
namespace {

// As the kubelet's prober_probe_total says it.
std::string_view ResultOf(ProbeVerdict verdict) {
  switch (verdict) {
    case ProbeVerdict::kSuccess: return "successful";
    case ProbeVerdict::kFailure: return "failed";
    case ProbeVerdict::kUnknown: return "unknown";
  }
  return "";
}

constexpr decide::ProbeRole kRoles[] = {decide::ProbeRole::kStartup, decide::ProbeRole::kLiveness,
                                        decide::ProbeRole::kReadiness};

Nanoseconds PeriodOf(const corev1::Probe& probe) { return Seconds(std::max(probe.periodseconds(), 1)); }
Nanoseconds TimeoutOf(const corev1::Probe& probe) { return Seconds(std::max(probe.timeoutseconds(), 1)); }

}  // namespace

PodProbes::PodProbes(PodServices& services, const corev1::Pod& pod, decide::PodMemory& memory,
                     std::function<void()> on_change)
    : services_(services), pod_(pod), memory_(memory), on_change_(std::move(on_change)), scope_(services.executor) {}

void PodProbes::Sync(const decide::ObservedPod& observed, bool terminating) {
  for (auto& [key, loop] : loops_) loop->wanted = false;
  for (const decide::ObservedContainer& instance : observed.containers) {
    if (instance.status.state() != cri::v1::CONTAINER_RUNNING) continue;
    const corev1::Container* container = decide::FindContainer(pod_, instance.status.metadata().name());
    if (!container) continue;
    const std::string& id = instance.status.id();
    for (const decide::ProbeRole role : kRoles) {
      if (!decide::ShouldProbe(*container, role, memory_.Instance(id), terminating)) continue;
      const Key key{.container_id = id, .role = role};
      const auto loop = loops_.find(key);
      if (loop == loops_.end()) {
        Begin(key, *container, instance);
      } else {
        loop->second->wanted = true;
      }
    }
  }
  for (auto& [key, loop] : loops_) {
    if (!loop->wanted) loop->wake.Notify();
  }
}

void PodProbes::Begin(const Key& key, const corev1::Container& container, const decide::ObservedContainer& observed) {
  const Now now = services_.timeline.Read();
  decide::InstanceMemory& instance = memory_.instances[key.container_id];
  const Nanoseconds age = now.wall.time_since_epoch() - Nanoseconds(observed.status.started_at());
  const corev1::Probe& probe = *decide::ProbeOf(container, key.role);
  const MonoTime due =
      now.mono + decide::FirstProbeDelay(probe, age, /*adopted=*/!instance.created_here, key.container_id);
  auto loop = std::make_shared<Loop>(services_.executor);
  loops_.emplace(key, loop);
  std::string name = fmt::format("{} probe of {}", ToString(key.role), container.name());
  scope_.Spawn(std::move(name), Run(key, container, std::move(loop), due), [this, key] { loops_.erase(key); });
}

Task<void> PodProbes::Run(Key key, corev1::Container container, std::shared_ptr<Loop> loop, MonoTime due) {
  const corev1::Probe& probe = *decide::ProbeOf(container, key.role);
  for (;;) {
    while (loop->wanted && services_.timeline.mono() < due) co_await loop->wake.WaitUntil(services_.timeline, due);
    if (!loop->wanted) co_return;
    const MonoTime began = services_.timeline.mono();
    ProbeTarget target = TargetOf(services_, pod_, container, key.container_id);
    const ProbeResult result = co_await services_.prober.Run(probe.handler(), std::move(target), TimeoutOf(probe));
    if (!loop->wanted) co_return;  // it says nothing about a container that is gone, or in another phase of its life
    Take(key, container, result);
    // At a steady pace; a probe that took longer than its period is followed by the next at once.
    due = std::max(began + PeriodOf(probe), services_.timeline.mono());
  }
}

void PodProbes::Take(const Key& key, const corev1::Container& container, const ProbeResult& result) {
  const std::string_view role = ToString(key.role);
  services_.observer->Probed(role, ResultOf(result.verdict));
  const auto about = [&] { return decide::ReferenceToContainer(pod_, container.name()); };
  if (result.verdict == ProbeVerdict::kUnknown) {
    log::Warning("a probe could not be run",
                 {{"pod", decide::NameOf(pod_)}, {"container", container.name()}, {"err", result.output}});
    services_.events.Record(about(), EventType::kWarning, "Unhealthy",
                            fmt::format("{} probe errored and resulted in unknown state: {}", role, result.output));
    return;
  }
  const bool success = result.verdict == ProbeVerdict::kSuccess;
  if (!success) {
    services_.events.Record(about(), EventType::kWarning, "Unhealthy",
                            fmt::format("{} probe failed: {}", role, result.output));
  } else if (result.warning) {
    services_.events.Record(about(), EventType::kWarning, "ProbeWarning",
                            fmt::format("{} probe warning: {}", role, result.output));
  }
  const auto instance = memory_.instances.find(key.container_id);
  if (instance == memory_.instances.end()) return;
  if (decide::ApplyProbeResult(pod_, container, key.role, success, instance->second)) on_change_();
}

Task<void> PodProbes::Stop() {
  scope_.Cancel();
  co_await scope_.Join();
}

}  // namespace daemonsetd::pods
