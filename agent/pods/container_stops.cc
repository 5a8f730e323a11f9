#include "agent/pods/container_stops.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/decide/pod_spec.h"
#include "agent/pods/probe_target.h"

namespace daemonsetd::pods {
namespace {

// A stop waits for the grace period and then for the runtime to kill and clean up.
constexpr Nanoseconds kKillAllowance = std::chrono::seconds(30);

}  // namespace

struct ContainerStops::Hook {
  Hook(const async::Executor& executor, MonoTime end) : kill_at(end), wake(executor), scope(executor) {}
  MonoTime kill_at;
  bool done = false;
  ProbeResult result;
  async::Wake wake;
  async::TaskScope scope;
};

ContainerStops::ContainerStops(PodServices& services, const corev1::Pod& pod, PodEvents& events)
    : services_(services), pod_(pod), events_(events) {}

ContainerStops::~ContainerStops() = default;

bool ContainerStops::Hurry(const std::string& container_id, MonoTime kill_at) {
  const auto hook = hooks_.find(container_id);
  if (hook == hooks_.end()) return false;
  if (kill_at < hook->second->kill_at) {
    hook->second->kill_at = kill_at;
    hook->second->wake.Notify();
  }
  return true;
}

Task<Status> ContainerStops::Stop(decide::StopContainer action) {
  const MonoTime began = services_.timeline.mono();
  Seconds grace = action.grace;
  if (grace > Seconds::zero()) {
    MonoTime kill_at = began + grace;
    co_await RunPreStop(action.container_id, action.name, &kill_at);
    const auto left = std::chrono::ceil<Seconds>(kill_at - services_.timeline.mono());
    // What the hook used up is gone, but a process gets a moment to end by itself, as the kubelet gives it.
    if (services_.timeline.mono() > began) grace = std::max(std::min(left, grace), decide::kMinimumGrace);
  }
  const Nanoseconds timeout = grace + kKillAllowance;
  co_return co_await services_.runtime.StopContainer(action.container_id, grace, timeout);
}

Task<void> ContainerStops::RunPreStop(std::string container_id, std::string container, MonoTime* kill_at) {
  const corev1::Container* spec = decide::FindContainer(pod_, container);
  if (!spec || !spec->lifecycle().has_prestop()) co_return;
  auto hook = std::make_shared<Hook>(services_.executor, *kill_at);
  hooks_[container_id] = hook;
  ProbeTarget target = TargetOf(services_, pod_, *spec, container_id);
  hook->scope.Spawn("preStop hook of " + container, RunHook(hook, spec->lifecycle().prestop(), std::move(target)));
  std::exception_ptr stopped;
  try {
    while (!hook->done && services_.timeline.mono() < hook->kill_at) {
      co_await hook->wake.WaitUntil(services_.timeline, hook->kill_at);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  if (stopped) co_await async::kDeafToCancellation;
  hooks_.erase(container_id);
  hook->scope.Cancel();
  co_await hook->scope.Join();
  if (stopped) std::rethrow_exception(stopped);
  *kill_at = hook->kill_at;
  if (!hook->done) {
    events_.HookFailed(container, "FailedPreStopHook", "the preStop hook used up the grace period");
  } else if (hook->result.verdict != ProbeVerdict::kSuccess) {
    events_.HookFailed(container, "FailedPreStopHook", hook->result.output);
  }
}

Task<void> ContainerStops::RunHook(std::shared_ptr<Hook> hook, corev1::LifecycleHandler handler, ProbeTarget target) {
  const Nanoseconds timeout = hook->kill_at - services_.timeline.mono();
  hook->result = co_await services_.prober.RunHook(std::move(handler), std::move(target), timeout);
  hook->done = true;
  hook->wake.Notify();
}

}  // namespace daemonsetd::pods
