#include "agent/decide/pod_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/base/digest.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/probe_rules.h"

namespace daemonsetd::decide {
namespace {

using ::runtime::v1::CONTAINER_CREATED;
using ::runtime::v1::CONTAINER_EXITED;
using ::runtime::v1::CONTAINER_RUNNING;
using ::runtime::v1::CONTAINER_UNKNOWN;
using ::runtime::v1::ContainerStatus;
using ::runtime::v1::PodSandboxStatus;
using ::runtime::v1::SANDBOX_READY;

// A stop request must bring SIGKILL forward by more than this to replace the one under way.
constexpr Seconds kWorthReplacing{1};
// Failures of a stop after which the next, harsher step is taken (LC-14).
constexpr int kStopFailuresBeforeForce = 2;

bool Lives(const ContainerStatus& status) {
  // UNKNOWN is not dead: it has to be stopped, and that confirmed, before another one starts (LC-17).
  return status.state() == CONTAINER_RUNNING || status.state() == CONTAINER_UNKNOWN;
}

class Planner {
 public:
  Planner(const corev1::Pod& pod, const PodIntent& intent, const ObservedPod& observed, const PodMemory& memory,
          MonoTime now)
      : pod_(pod), intent_(intent), observed_(observed), memory_(memory), now_(now) {}

  PodPlan Plan() {
    if (intent_.terminate) {
      PlanTermination();
    } else if (!memory_.terminal_phase.empty()) {
      PlanTerminal();
      plan_.at_rest = plan_.actions.empty() && memory_.in_flight.empty();
    } else if (intent_.rest == PodIntent::Rest::kStop) {
      PlanRest();
    } else {
      PlanRunning();
      if (intent_.rest == PodIntent::Rest::kNothingStarts) LeaveStartsOut();
    }
    return std::move(plan_);
  }

 private:
  // --- Adding actions -------------------------------------------------------------------------------------------

  bool Busy(const std::string& key) const { return memory_.in_flight.contains(key); }

  bool AnyStartInFlight() const {
    return std::any_of(memory_.in_flight.begin(), memory_.in_flight.end(),
                       [](const auto& entry) { return entry.first.starts_with("start ") || entry.first == "sandbox"; });
  }

  void WakeAt(MonoTime when) {
    if (!plan_.wake_at || when < *plan_.wake_at) plan_.wake_at = when;
  }

  // Adds the action unless it is under way or its last failure asks for patience. True when added.
  bool Add(Action action) {
    const std::string key = OperationKey(action);
    if (Busy(key)) return false;
    if (const auto failure = memory_.failures.find(key); failure != memory_.failures.end()) {
      if (failure->second.Waiting(now_)) {
        WakeAt(*failure->second.due());
        return false;
      }
    }
    plan_.actions.push_back(std::move(action));
    return true;
  }

  int Failures(const Action& action) const {
    const auto failure = memory_.failures.find(OperationKey(action));
    return failure == memory_.failures.end() ? 0 : failure->second.failures();
  }

  void WaitFor(std::string what) {
    if (plan_.waiting_for.empty()) plan_.waiting_for = std::move(what);
  }

  // --- Stopping -------------------------------------------------------------------------------------------------

  void Stop(const ObservedContainer& container, Seconds grace, const std::string& reason) {
    const MonoTime kill_at = now_ + grace;
    StopContainer stop{container.status.metadata().name(), container.status.id(), grace, reason};
    if (Failures(stop) > 0) stop.grace = Seconds::zero();
    const auto running = memory_.in_flight.find(OperationKey(stop));
    if (running != memory_.in_flight.end()) {
      const bool sooner = running->second.kill_at && kill_at + kWorthReplacing < *running->second.kill_at;
      if (sooner) plan_.actions.emplace_back(std::move(stop));
      return;
    }
    Add(std::move(stop));
  }

  // Stops every living container; sidecars only after the main containers, in reverse order. True when none lives.
  bool StopAll(Seconds grace, const std::string& reason) {
    bool main_lives = false;
    for (const ObservedContainer& container : observed_.containers) {
      if (!Lives(container.status) || GivenUp(container) || SidecarIndex(container) >= 0) continue;
      main_lives = true;
      Stop(container, grace, reason);
    }
    if (main_lives) return false;
    const ObservedContainer* last_sidecar = nullptr;
    for (const ObservedContainer& container : observed_.containers) {
      if (!Lives(container.status) || GivenUp(container)) continue;
      if (!last_sidecar || SidecarIndex(container) > SidecarIndex(*last_sidecar)) last_sidecar = &container;
    }
    if (!last_sidecar) return true;
    Stop(*last_sidecar, grace, reason);
    return false;
  }

  // The runtime refused to stop it often enough: StopPodSandbox is the next, harsher means.
  bool GivenUp(const ObservedContainer& container) const {
    return Failures(StopContainer{{}, container.status.id(), {}, {}}) >= kStopFailuresBeforeForce;
  }

  int SidecarIndex(const ObservedContainer& container) const {
    const int index = InitIndex(pod_, container.status.metadata().name());
    return index >= 0 && IsSidecar(pod_.spec().initcontainers(index)) ? index : -1;
  }

  Seconds RemainingGrace() const {
    const auto left = std::chrono::ceil<Seconds>(intent_.kill_at - now_);
    return std::max(left, kMinimumGrace);
  }

  void PlanTermination() {
    // A start under way is cancelled by the worker; what it left behind is seen here afterwards.
    if (AnyStartInFlight()) {
      WaitFor("a start that is being cancelled");
      return;
    }
    if (!StopAll(RemainingGrace(), intent_.reason)) {
      WaitFor("its containers to stop");
      return;
    }
    bool sandboxes_left = false;
    for (const PodSandboxStatus& sandbox : observed_.sandboxes) {
      sandboxes_left = true;
      // Stopping again is harmless and gives the network teardown another chance (LC-27); never forget a sandbox
      // until its removal succeeded.
      if (sandbox.state() == SANDBOX_READY && Failures(StopSandbox{sandbox.id()}) < 2 * kStopFailuresBeforeForce) {
        Add(StopSandbox{sandbox.id()});
      } else if (!Busy(OperationKey(StopSandbox{sandbox.id()}))) {
        Add(RemoveSandbox{sandbox.id()});
      }
    }
    for (const ObservedContainer& container : observed_.containers) {
      if (!HasSandbox(container.sandbox_id)) {
        sandboxes_left = true;
        Add(RemoveContainer{container.status.metadata().name(), container.status.id()});
      }
    }
    if (sandboxes_left) {
      WaitFor("its sandbox to be removed");
      return;
    }
    if (!memory_.torn_down) {
      Add(TearDownPod{});
      WaitFor("its volumes and directories to be removed");
      return;
    }
    plan_.finished = memory_.in_flight.empty();
  }

  void PlanRest() {
    if (AnyStartInFlight()) {
      WaitFor("a start that is being cancelled");
      return;
    }
    if (!StopAll(RemainingGrace(), intent_.reason)) {
      WaitFor("its containers to stop: " + intent_.reason);
      return;
    }
    // The network gets its addresses back: nobody could tell it after a reboot.
    for (const PodSandboxStatus& sandbox : observed_.sandboxes) {
      if (sandbox.state() == SANDBOX_READY) Add(StopSandbox{sandbox.id()});
    }
    WaitFor(intent_.reason);
    plan_.at_rest = plan_.actions.empty() && memory_.in_flight.empty();
  }

  void LeaveStartsOut() {
    const auto starts = std::erase_if(plan_.actions, [](const Action& action) { return IsStart(action); });
    if (starts > 0) plan_.waiting_for = intent_.reason;
  }

  // Succeeded or Failed: nothing runs any more, the records stay as evidence.
  void PlanTerminal() {
    if (!StopAll(kMinimumGrace, "the pod has ended")) return;
    for (const PodSandboxStatus& sandbox : observed_.sandboxes) {
      if (sandbox.state() == SANDBOX_READY) Add(StopSandbox{sandbox.id()});
    }
  }

  // --- Running --------------------------------------------------------------------------------------------------

  void PlanRunning() {
    if (!memory_.set_up) {
      Add(SetUpPod{});
      WaitFor(memory_.sandbox_waiting ? memory_.sandbox_waiting->message : "its directories and volumes");
      return;
    }
    const PodSandboxStatus* sandbox = observed_.newest_sandbox();
    if (!sandbox || sandbox->state() != SANDBOX_READY) {
      PlanNewSandbox(sandbox);
      return;
    }
    StopOlderSandboxes(*sandbox);
    RemoveDeadInstances();
    if (PlanInitContainers(*sandbox)) PlanMainContainers(*sandbox);
  }

  void PlanNewSandbox(const PodSandboxStatus* newest) {
    // Whatever still runs in a sandbox that is gone is stopped first, or two copies would run side by side.
    if (!StopAll(GracePeriod(), "the pod sandbox changed")) {
      WaitFor("containers of the old sandbox to stop");
      return;
    }
    bool old_ready = false;
    for (const PodSandboxStatus& old : observed_.sandboxes) {
      if (old.state() == SANDBOX_READY) {
        old_ready = true;
        Add(StopSandbox{old.id()});
      }
    }
    if (old_ready) return;
    if (memory_.sandbox_backoff.Waiting(now_)) {
      WakeAt(*memory_.sandbox_backoff.due());
      WaitFor("the sandbox died; trying again after a back-off of " + FormatDuration(memory_.sandbox_backoff.delay()));
      return;
    }
    std::uint32_t attempt = newest ? newest->metadata().attempt() + 1 : 0;
    attempt = std::max(attempt, memory_.lowest_sandbox_attempt);
    Add(CreateSandbox{attempt});
    WaitFor(memory_.sandbox_waiting ? memory_.sandbox_waiting->message : "its sandbox");
  }

  void StopOlderSandboxes(const PodSandboxStatus& current) {
    for (const PodSandboxStatus& sandbox : observed_.sandboxes) {
      if (sandbox.id() == current.id()) continue;
      bool has_living = false;
      bool has_records = false;
      for (const ObservedContainer& container : observed_.containers) {
        if (container.sandbox_id != sandbox.id()) continue;
        has_records = true;
        if (Lives(container.status)) {
          has_living = true;
          Stop(container, GracePeriod(), "it belongs to an older sandbox");
        }
      }
      if (has_living) continue;
      if (sandbox.state() == SANDBOX_READY) {
        Add(StopSandbox{sandbox.id()});
      } else if (!has_records) {
        Add(RemoveSandbox{sandbox.id()});
      }
    }
  }

  // One dead instance per container stays for its status and log; older ones go (LC-04).
  void RemoveDeadInstances() {
    std::set<std::string> kept;
    for (const ObservedContainer& container : observed_.containers) {
      if (container.status.state() != CONTAINER_EXITED) continue;
      const std::string& name = container.status.metadata().name();
      const bool newest_instance = IsNewest(container);
      if (newest_instance) continue;
      if (!intent_.spare_disk && kept.insert(name).second) continue;
      Add(RemoveContainer{name, container.status.id()});
    }
  }

  bool IsNewest(const ObservedContainer& container) const {
    for (const ObservedContainer& other : observed_.containers) {
      if (other.status.metadata().name() == container.status.metadata().name()) return &other == &container;
    }
    return false;
  }

  // True when the main containers may run.
  bool PlanInitContainers(const PodSandboxStatus& sandbox) {
    // Records of init containers may be gone by the time the main containers run.
    const bool main_started = std::any_of(
        pod_.spec().containers().begin(), pod_.spec().containers().end(),
        [&](const corev1::Container& container) { return observed_.Find(sandbox.id(), container.name()) != nullptr; });
    for (const corev1::Container& init : pod_.spec().initcontainers()) {
      if (main_started && !IsSidecar(init)) continue;
      const ObservedContainer* instance = observed_.Find(sandbox.id(), init.name());
      if (instance && instance->status.state() == CONTAINER_EXITED && !IsSidecar(init) &&
          instance->status.exit_code() == 0) {
        continue;
      }
      Advance(sandbox, init, instance, true);
      if (instance && instance->status.state() == CONTAINER_RUNNING && IsSidecar(init)) {
        if (main_started || IsStarted(init, memory_.Instance(instance->status.id()))) continue;
        WaitFor(fmt::format("sidecar {} to have started", init.name()));
        return false;
      }
      if (!main_started) {
        WaitFor("init container " + init.name());
        return false;
      }
    }
    return true;
  }

  void PlanMainContainers(const PodSandboxStatus& sandbox) {
    for (const corev1::Container& container : pod_.spec().containers()) {
      const ObservedContainer* instance = observed_.Find(sandbox.id(), container.name());
      Advance(sandbox, container, instance, false);
      // The kubelet starts them one after the other, hook included, and proxies rely on it to be there before the rest.
      if (!container.lifecycle().has_poststart() || !FirstLife(instance)) continue;
      const InstanceMemory* known = instance ? memory_.Instance(instance->status.id()) : nullptr;
      if (!instance || instance->status.state() == CONTAINER_CREATED || (known && known->post_start_pending)) {
        WaitFor(fmt::format("the postStart hook of container {}", container.name()));
        return;
      }
    }
  }

  static bool FirstLife(const ObservedContainer* instance) { return !instance || RestartCount(instance->status) == 0; }

  // Brings one container towards running.
  void Advance(const PodSandboxStatus& sandbox, const corev1::Container& container, const ObservedContainer* instance,
               bool is_init) {
    if (!instance) {
      Start(sandbox, container);
      return;
    }
    switch (instance->status.state()) {
      case CONTAINER_RUNNING: AdvanceRunning(container, *instance); return;
      case CONTAINER_CREATED: AdvanceCreated(container, *instance); return;
      case CONTAINER_EXITED:
        if (ShouldRestart(pod_, container, is_init, instance->status.exit_code())) {
          Restart(sandbox, container, *instance);
        }
        return;
      default: Stop(*instance, GracePeriod(), "its state is unknown"); return;
    }
  }

  void AdvanceCreated(const corev1::Container& container, const ObservedContainer& instance) {
    if (Busy(StartKey(container.name()))) return;
    const InstanceMemory* known = memory_.Instance(instance.status.id());
    if (known && known->unstartable) {
      Add(RemoveContainer{container.name(), instance.status.id()});
    } else {
      Add(StartCreatedContainer{container.name(), instance.status.id()});
    }
  }

  void AdvanceRunning(const corev1::Container& container, const ObservedContainer& instance) {
    const InstanceMemory* known = memory_.Instance(instance.status.id());
    if (!known) return;
    if (!known->kill) PlanResources(container, instance, *known);
    if (known->kill) {
      Stop(instance, known->kill->grace, known->kill->message);
      WaitFor(known->kill->message);
    } else if (known->post_start_pending) {
      Add(RunPostStart{container.name(), instance.status.id()});
      WaitFor(fmt::format("the postStart hook of container {}", container.name()));
    }
  }

  void PlanResources(const corev1::Container& container, const ObservedContainer& instance,
                     const InstanceMemory& known) {
    std::string present = known.resources;
    if (present.empty()) {
      const auto written = instance.status.annotations().find(kResourcesAnnotation);
      if (written == instance.status.annotations().end()) return;  // of an older agent: nothing to compare with
      present = written->second;
    }
    std::string wanted = ResourcesText(container);
    if (present == wanted) return;
    if (const std::string resource = RestartingResource(container, present); !resource.empty()) {
      Stop(instance, GracePeriod(), fmt::format("its {} changed and its resizePolicy asks for a restart", resource));
      return;
    }
    Add(UpdateResources{container.name(), instance.status.id(), std::move(wanted)});
  }

  void Restart(const PodSandboxStatus& sandbox, const corev1::Container& container, const ObservedContainer& last) {
    const auto memory = memory_.containers.find(container.name());
    if (memory != memory_.containers.end() && memory->second.exited_id == last.status.id()) {
      const MonoTime due = memory->second.exit_seen + memory->second.crash_delay;
      if (now_ < due) {
        WakeAt(due);
        WaitFor(fmt::format("container {}: back-off {} after its last exit (code {})", container.name(),
                            FormatDuration(memory->second.crash_delay), last.status.exit_code()));
        return;
      }
    }
    Start(sandbox, container);
  }

  void Start(const PodSandboxStatus& sandbox, const corev1::Container& container) {
    std::uint32_t attempt = 0;
    for (const ObservedContainer& other : observed_.containers) {
      if (other.status.metadata().name() == container.name())
        attempt = std::max(attempt, RestartCount(other.status) + 1);
    }
    const auto memory = memory_.containers.find(container.name());
    if (memory != memory_.containers.end()) attempt = std::max(attempt, memory->second.lowest_attempt);
    Add(StartContainer{container.name(), sandbox.id(), attempt});
    if (memory != memory_.containers.end() && memory->second.waiting) {
      WaitFor(fmt::format("container {}: {}: {}", container.name(), memory->second.waiting->reason,
                          memory->second.waiting->message));
    } else {
      WaitFor("container " + container.name() + " to start");
    }
  }

  static std::string StartKey(const std::string& name) { return "start " + name; }
  Seconds GracePeriod() const { return Seconds(pod_.spec().terminationgraceperiodseconds()); }

  bool HasSandbox(const std::string& id) const {
    return std::any_of(observed_.sandboxes.begin(), observed_.sandboxes.end(),
                       [&](const PodSandboxStatus& sandbox) { return sandbox.id() == id; });
  }

  const corev1::Pod& pod_;
  const PodIntent& intent_;
  const ObservedPod& observed_;
  const PodMemory& memory_;
  const MonoTime now_;
  PodPlan plan_;
};

struct KeyOf {
  std::string operator()(const SetUpPod&) const { return "set-up"; }
  std::string operator()(const CreateSandbox&) const { return "sandbox"; }
  std::string operator()(const StartContainer& a) const { return "start " + a.name; }
  std::string operator()(const StartCreatedContainer& a) const { return "start " + a.name; }
  std::string operator()(const RunPostStart& a) const { return "post-start " + a.container_id; }
  std::string operator()(const UpdateResources& a) const { return "resources " + a.container_id; }
  std::string operator()(const StopContainer& a) const { return "stop " + a.container_id; }
  std::string operator()(const RemoveContainer& a) const { return "remove " + a.container_id; }
  std::string operator()(const StopSandbox& a) const { return "stop " + a.sandbox_id; }
  std::string operator()(const RemoveSandbox& a) const { return "remove " + a.sandbox_id; }
  std::string operator()(const TearDownPod&) const { return "tear-down"; }
};

struct TextOf {
  std::string operator()(const SetUpPod&) const { return "set up directories and volumes"; }
  std::string operator()(const CreateSandbox& a) const { return fmt::format("create sandbox (attempt {})", a.attempt); }
  std::string operator()(const StartContainer& a) const {
    return fmt::format("start container {} (attempt {}) in sandbox {}", a.name, a.attempt, ShortId(a.sandbox_id));
  }
  std::string operator()(const StartCreatedContainer& a) const {
    return fmt::format("start created container {} {}", a.name, ShortId(a.container_id));
  }
  std::string operator()(const RunPostStart& a) const {
    return fmt::format("run the postStart hook of container {} {}", a.name, ShortId(a.container_id));
  }
  std::string operator()(const UpdateResources& a) const {
    return fmt::format("update the resources of container {} {} to {}", a.name, ShortId(a.container_id), a.resources);
  }
  std::string operator()(const StopContainer& a) const {
    return fmt::format("stop container {} {} within {}: {}", a.name, ShortId(a.container_id), FormatDuration(a.grace),
                       a.reason);
  }
  std::string operator()(const RemoveContainer& a) const {
    return fmt::format("remove container {} {}", a.name, ShortId(a.container_id));
  }
  std::string operator()(const StopSandbox& a) const { return "stop sandbox " + ShortId(a.sandbox_id); }
  std::string operator()(const RemoveSandbox& a) const { return "remove sandbox " + ShortId(a.sandbox_id); }
  std::string operator()(const TearDownPod&) const { return "tear down volumes, directories and links"; }
};

}  // namespace

std::string OperationKey(const Action& action) { return std::visit(KeyOf{}, action); }
std::string ToString(const Action& action) { return std::visit(TextOf{}, action); }

bool IsStart(const Action& action) {
  return std::holds_alternative<SetUpPod>(action) || std::holds_alternative<CreateSandbox>(action) ||
         std::holds_alternative<StartContainer>(action) || std::holds_alternative<StartCreatedContainer>(action) ||
         std::holds_alternative<RunPostStart>(action);
}

PodPlan PlanPod(const corev1::Pod& pod, const PodIntent& intent, const ObservedPod& observed, const PodMemory& memory,
                MonoTime now) {
  return Planner(pod, intent, observed, memory, now).Plan();
}

}  // namespace daemonsetd::decide
