#include "agent/decide/pod_status.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/decide/conditions.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/probe_rules.h"
#include "agent/decide/resources.h"

namespace daemonsetd::decide {
namespace {

using ::runtime::v1::CONTAINER_CREATED;
using ::runtime::v1::CONTAINER_EXITED;
using ::runtime::v1::CONTAINER_RUNNING;
using ::runtime::v1::PodSandboxStatus;
using ::runtime::v1::SANDBOX_READY;
using RuntimeStatus = ::runtime::v1::ContainerStatus;

metav1::Time ToTime(WallTime wall) {
  metav1::Time time;
  // metav1.Time has whole seconds.
  time.set_seconds(std::chrono::floor<Seconds>(wall).time_since_epoch().count());
  return time;
}

metav1::Time ToTime(std::int64_t nanoseconds) { return ToTime(WallTime(Nanoseconds(nanoseconds))); }

std::string ContainerId(const RuntimeStatus& status) { return "containerd://" + status.id(); }

void FillTerminated(const RuntimeStatus& status, const PodMemory& memory,
                    corev1::ContainerStateTerminated& terminated) {
  terminated.set_exitcode(status.exit_code());
  std::string reason = status.reason();
  if (reason.empty()) reason = status.exit_code() == 0 ? "Completed" : "Error";
  terminated.set_reason(reason);
  const InstanceMemory* known = memory.Instance(status.id());
  const std::string message = known && known->last_words ? *known->last_words : status.message();
  if (!message.empty()) terminated.set_message(message);
  if (status.started_at() != 0) *terminated.mutable_startedat() = ToTime(status.started_at());
  if (status.finished_at() != 0) *terminated.mutable_finishedat() = ToTime(status.finished_at());
  terminated.set_containerid(ContainerId(status));
}

bool IsRecursivelyReadOnly(const corev1::VolumeMount& mount, const RuntimeStatus* container) {
  if (mount.recursivereadonly() != "IfPossible") return mount.recursivereadonly() == "Enabled";
  // Whether it was possible, only the container tells.
  return container && std::any_of(container->mounts().begin(), container->mounts().end(), [&](const auto& made) {
           return made.container_path() == mount.mountpath() && made.recursive_read_only();
         });
}

// `container`: the newest of this name, null before there is one.
void FillVolumeMounts(const corev1::Container& spec, const RuntimeStatus* container, corev1::ContainerStatus& result) {
  for (const corev1::VolumeMount& mount : spec.volumemounts()) {
    corev1::VolumeMountStatus& status = *result.add_volumemounts();
    status.set_name(mount.name());
    status.set_mountpath(mount.mountpath());
    if (!mount.readonly()) continue;
    status.set_readonly(true);
    status.set_recursivereadonly(IsRecursivelyReadOnly(mount, container) ? "Enabled" : "Disabled");
  }
}

void FillResources(const corev1::Container& spec, const RuntimeStatus& container, corev1::ContainerStatus& result) {
  *result.mutable_allocatedresources() = spec.resources().requests();
  *result.mutable_resources() = container.state() == CONTAINER_RUNNING
                                    ? ActualResources(spec.resources(), container.resources().linux())
                                    : spec.resources();
}

void FillUser(const RuntimeStatus& container, corev1::ContainerStatus& result) {
  if (!container.user().has_linux()) return;
  const auto& user = container.user().linux();
  corev1::LinuxContainerUser& filled = *result.mutable_user()->mutable_linux();
  filled.set_uid(user.uid());
  filled.set_gid(user.gid());
  *filled.mutable_supplementalgroups() = user.supplemental_groups();
}

// Builds the status of the containers of one kind (init or main).
class ContainerStatuses {
 public:
  ContainerStatuses(const corev1::Pod& pod, const ObservedPod& observed, const PodMemory& memory, Now now)
      : pod_(pod), observed_(observed), memory_(memory), now_(now) {}

  corev1::ContainerStatus Build(const corev1::Container& container, bool is_init, bool init_done) const {
    corev1::ContainerStatus result;
    result.set_name(container.name());
    result.set_image(container.image());
    result.set_imageid("");
    result.set_restartcount(0);
    result.set_ready(false);
    result.set_started(false);

    const auto [newest, previous] = Instances(container.name());
    const PodSandboxStatus* sandbox = observed_.newest_sandbox();
    const bool current = newest && sandbox && newest->sandbox_id == sandbox->id();
    if (newest) {
      const RuntimeStatus& status = newest->status;
      result.set_restartcount(static_cast<std::int32_t>(RestartCount(status)));
      if (!status.image().image().empty()) result.set_image(status.image().image());
      result.set_imageid(status.image_ref());
      result.set_containerid(ContainerId(status));
      FillResources(container, status, result);
      FillUser(status, result);
    }
    FillVolumeMounts(container, newest ? &newest->status : nullptr, result);

    if (newest && newest->status.state() == CONTAINER_RUNNING) {
      *result.mutable_state()->mutable_running()->mutable_startedat() = ToTime(newest->status.started_at());
      const InstanceMemory* known = memory_.Instance(newest->status.id());
      result.set_started(IsStarted(container, known));
      // An ordinary init container is "ready" once it has ended well.
      if (!is_init || IsSidecar(container)) result.set_ready(IsReady(container, known));
      if (previous) FillTerminated(previous->status, memory_, *result.mutable_laststate()->mutable_terminated());
    } else if (newest && newest->status.state() == CONTAINER_EXITED) {
      FillExited(container, is_init, *newest, current, result);
      if (!result.has_laststate() && previous && result.state().has_terminated()) {
        FillTerminated(previous->status, memory_, *result.mutable_laststate()->mutable_terminated());
      }
    } else {
      FillWaiting(container, is_init || init_done, result);
      if (newest && newest->status.state() != CONTAINER_CREATED) {
        result.mutable_state()->mutable_waiting()->set_reason("ContainerStatusUnknown");
      }
      // The pod of a container that is being started again is Running, as long as one can see that it ran.
      if (previous && previous->status.state() == CONTAINER_EXITED) {
        FillTerminated(previous->status, memory_, *result.mutable_laststate()->mutable_terminated());
      }
    }
    return result;
  }

 private:
  std::pair<const ObservedContainer*, const ObservedContainer*> Instances(const std::string& name) const {
    std::pair<const ObservedContainer*, const ObservedContainer*> found{nullptr, nullptr};
    for (const ObservedContainer& container : observed_.containers) {
      if (container.status.metadata().name() != name) continue;
      if (!found.first) {
        found.first = &container;
      } else {
        found.second = &container;
        break;
      }
    }
    return found;
  }

  void FillExited(const corev1::Container& container, bool is_init, const ObservedContainer& exited, bool current,
                  corev1::ContainerStatus& result) const {
    const bool again = !current || ShouldRestart(pod_, container, is_init, exited.status.exit_code());
    const bool ended = !memory_.terminal_phase.empty() || !again;
    if (ended) {
      FillTerminated(exited.status, memory_, *result.mutable_state()->mutable_terminated());
      result.set_ready(is_init && exited.status.exit_code() == 0);
      return;
    }
    FillTerminated(exited.status, memory_, *result.mutable_laststate()->mutable_terminated());
    const auto remembered = memory_.containers.find(container.name());
    const bool failed_start = remembered != memory_.containers.end() && remembered->second.waiting.has_value();
    if (!failed_start && current && remembered != memory_.containers.end() &&
        remembered->second.exited_id == exited.status.id()) {
      const ContainerMemory& memory = remembered->second;
      if (memory.crash_delay > Nanoseconds::zero() && now_.mono < memory.exit_seen + memory.crash_delay) {
        auto* waiting = result.mutable_state()->mutable_waiting();
        waiting->set_reason(kCrashLoopReason);
        waiting->set_message(fmt::format("back-off {} restarting failed container={} pod={}_{}({})",
                                         FormatDuration(memory.crash_delay), container.name(), pod_.metadata().name(),
                                         pod_.metadata().namespace_(), pod_.metadata().uid()));
        return;
      }
    }
    FillWaiting(container, true, result);
  }

  void FillWaiting(const corev1::Container& container, bool init_done, corev1::ContainerStatus& result) const {
    auto* waiting = result.mutable_state()->mutable_waiting();
    const auto remembered = memory_.containers.find(container.name());
    if (remembered != memory_.containers.end() && remembered->second.waiting) {
      waiting->set_reason(remembered->second.waiting->reason);
      waiting->set_message(remembered->second.waiting->message);
      return;
    }
    waiting->set_reason(init_done ? "ContainerCreating" : "PodInitializing");
    if (memory_.sandbox_waiting) waiting->set_message(memory_.sandbox_waiting->message);
  }

  const corev1::Pod& pod_;
  const ObservedPod& observed_;
  const PodMemory& memory_;
  const Now now_;
};

bool InitDone(const corev1::ContainerStatus& status, bool sidecar) {
  if (sidecar) return status.started();
  return status.state().has_terminated() && status.state().terminated().exitcode() == 0;
}

// Of a container that is removed with its pod: as it was seen last, or the kubelet's word for not having seen its end.
corev1::ContainerStatus AfterRemoval(const corev1::ContainerStatus* last, const corev1::ContainerStatus& nothing_seen) {
  if (last != nullptr && last->state().has_terminated()) return *last;
  corev1::ContainerStatus status = last != nullptr ? *last : nothing_seen;
  status.set_ready(false);
  status.set_started(false);
  status.clear_state();
  corev1::ContainerStateTerminated& terminated = *status.mutable_state()->mutable_terminated();
  terminated.set_reason("ContainerStatusUnknown");
  terminated.set_message("The container could not be located when the pod was terminated");
  terminated.set_exitcode(137);
  return status;
}

// pkg/kubelet getPhase: Pending until every init container has ended well and every container was started once.
std::string Phase(const corev1::Pod& pod, const corev1::PodStatus& status, const ObservedPod& observed,
                  const PodMemory& memory) {
  // One that the node ends is over when its containers are.
  const bool runs_on = memory.end && std::any_of(observed.containers.begin(), observed.containers.end(),
                                                 [](const ObservedContainer& container) {
                                                   return container.status.state() == CONTAINER_RUNNING;
                                                 });
  if (!memory.terminal_phase.empty() && !runs_on) return memory.terminal_phase;
  bool initialized = true;
  for (int i = 0; i < status.initcontainerstatuses_size(); ++i) {
    initialized &= InitDone(status.initcontainerstatuses(i), IsSidecar(pod.spec().initcontainers(i)));
  }
  bool any_started = false;
  bool all_started = true;
  for (const corev1::ContainerStatus& container : status.containerstatuses()) {
    const bool started =
        container.state().has_running() || container.state().has_terminated() || container.laststate().has_terminated();
    any_started |= started;
    all_started &= started;
  }
  if (!initialized && !any_started) return "Pending";
  return all_started ? "Running" : "Pending";
}

void SetDisruptionTarget(const PodEnd& end, const corev1::PodStatus& previous, WallTime now,
                         corev1::PodStatus& status) {
  if (!end.disruption) return;
  corev1::PodCondition condition;
  condition.set_type("DisruptionTarget");
  condition.set_status("True");
  condition.set_reason("TerminationByKubelet");
  condition.set_message(end.message);
  const corev1::PodCondition* last = FindCondition(previous, condition.type());
  const bool same = last != nullptr && last->status() == condition.status();
  *condition.mutable_lasttransitiontime() = same ? last->lasttransitiontime() : ToTime(now);
  *status.add_conditions() = std::move(condition);
}

class Conditions {
 public:
  Conditions(const corev1::PodStatus& previous, corev1::PodStatus& status, Now now)
      : previous_(previous), status_(status), now_(now) {}

  void Set(const char* type, bool value, const std::string& reason = {}, const std::string& message = {}) {
    corev1::PodCondition* condition = status_.add_conditions();
    condition->set_type(type);
    condition->set_status(value ? "True" : "False");
    if (!value && !reason.empty()) condition->set_reason(reason);
    if (!value && !message.empty()) condition->set_message(message);
    *condition->mutable_lasttransitiontime() = ToTime(now_.wall);
    for (const corev1::PodCondition& old : previous_.conditions()) {
      if (old.type() == condition->type() && old.status() == condition->status()) {
        *condition->mutable_lasttransitiontime() = old.lasttransitiontime();
      }
    }
  }

 private:
  const corev1::PodStatus& previous_;
  corev1::PodStatus& status_;
  const Now now_;
};

std::string NamesOf(const std::vector<std::string>& names) { return fmt::format("[{}]", fmt::join(names, " ")); }

void AddConditions(const corev1::Pod& pod, const ObservedPod& observed, const corev1::PodStatus& previous, Now now,
                   corev1::PodStatus& status) {
  std::vector<std::string> incomplete;
  for (int i = 0; i < status.initcontainerstatuses_size(); ++i) {
    if (!InitDone(status.initcontainerstatuses(i), IsSidecar(pod.spec().initcontainers(i)))) {
      incomplete.push_back(status.initcontainerstatuses(i).name());
    }
  }
  std::vector<std::string> unready;
  for (int i = 0; i < status.initcontainerstatuses_size(); ++i) {
    const corev1::ContainerStatus& sidecar = status.initcontainerstatuses(i);
    if (IsSidecar(pod.spec().initcontainers(i)) && !sidecar.ready()) unready.push_back(sidecar.name());
  }
  for (const corev1::ContainerStatus& container : status.containerstatuses()) {
    if (!container.ready()) unready.push_back(container.name());
  }
  const PodSandboxStatus* sandbox = observed.newest_sandbox();
  const bool has_sandbox = sandbox && sandbox->state() == SANDBOX_READY;
  const std::string no_sandbox = sandbox ? "pod sandbox is not ready" : "no pod sandbox exists";
  const bool ended = status.phase() == "Succeeded" || status.phase() == "Failed";
  const std::string reason = status.phase() == "Succeeded" ? "PodCompleted"
                             : status.phase() == "Failed"  ? "PodFailed"
                                                           : "ContainersNotReady";
  const std::string message =
      ended || unready.empty() ? std::string() : "containers with unready status: " + NamesOf(unready);
  const bool ready = !ended && unready.empty();

  Conditions conditions(previous, status, now);
  conditions.Set("PodReadyToStartContainers", has_sandbox, "PodSandboxNotReady", no_sandbox);
  conditions.Set("Initialized", incomplete.empty() || status.phase() == "Succeeded", "ContainersNotInitialized",
                 "containers with incomplete status: " + NamesOf(incomplete));
  conditions.Set("Ready", ready, reason, message);
  conditions.Set("ContainersReady", ready, reason, message);
  conditions.Set("PodScheduled", true);
}

void AddResources(const corev1::PodSpec& spec, corev1::PodStatus& status) {
  const auto fill = [](const ResourceList& list, auto& filled) {
    for (const auto& [name, quantity] : list) filled[name] = quantity.ToMessage();
  };
  const ResourceList requests = PodRequests(spec);
  fill(requests, *status.mutable_allocatedresources());
  fill(requests, *status.mutable_resources()->mutable_requests());
  fill(PodLimits(spec), *status.mutable_resources()->mutable_limits());
}

void AddAddresses(const corev1::Pod& pod, const ObservedPod& observed, const StatusFacts& facts,
                  corev1::PodStatus& status) {
  for (const std::string& ip : facts.host_ips) status.add_hostips()->set_ip(ip);
  if (!facts.host_ips.empty()) status.set_hostip(facts.host_ips.front());
  // On the host network it follows the node's address without a restart (LC-28).
  const std::vector<std::string> pod_ips = pod.spec().hostnetwork() ? facts.host_ips : observed.sandbox_ips();
  for (const std::string& ip : pod_ips) status.add_podips()->set_ip(ip);
  if (!pod_ips.empty()) status.set_podip(pod_ips.front());
}

}  // namespace

corev1::PodStatus ComputePodStatus(const corev1::Pod& pod, const ObservedPod& observed, const PodMemory& memory,
                                   const corev1::PodStatus& previous, const StatusFacts& facts, Now now) {
  corev1::PodStatus status;
  const ContainerStatuses containers(pod, observed, memory, now);
  const auto build = [&](const corev1::Container& container, bool is_init, bool init_done) {
    corev1::ContainerStatus built = containers.Build(container, is_init, init_done);
    if (!memory.end || !built.containerid().empty()) return built;
    const auto& kept = is_init ? previous.initcontainerstatuses() : previous.containerstatuses();
    const auto last =
        std::find_if(kept.begin(), kept.end(), [&](const auto& one) { return one.name() == container.name(); });
    return AfterRemoval(last == kept.end() ? nullptr : &*last, built);
  };
  bool init_done = true;
  for (const corev1::Container& init : pod.spec().initcontainers()) {
    *status.add_initcontainerstatuses() = build(init, true, init_done);
    init_done &= InitDone(status.initcontainerstatuses(status.initcontainerstatuses_size() - 1), IsSidecar(init));
  }
  for (const corev1::Container& container : pod.spec().containers()) {
    *status.add_containerstatuses() = build(container, false, init_done);
  }
  status.set_phase(Phase(pod, status, observed, memory));
  if (memory.end) {
    status.set_reason(memory.end->reason);
    status.set_message(memory.end->message);
  }
  status.set_qosclass(std::string(ToString(ComputeQos(pod.spec()))));
  *status.mutable_starttime() = previous.has_starttime() ? previous.starttime() : ToTime(facts.start_time);
  AddResources(pod.spec(), status);
  AddAddresses(pod, observed, facts, status);
  AddConditions(pod, observed, previous, now, status);
  if (memory.end) SetDisruptionTarget(*memory.end, previous, now.wall, status);
  // Of its object (KEP-5067); a pod without one has no generation.
  if (const std::int64_t generation = pod.metadata().generation(); generation != 0) {
    status.set_observedgeneration(generation);
    for (corev1::PodCondition& condition : *status.mutable_conditions()) condition.set_observedgeneration(generation);
  }
  return status;
}

corev1::PodStatus EndedStatus(corev1::PodStatus last, const PodEnd& end, WallTime now) {
  corev1::PodStatus status = last;
  status.set_phase("Failed");
  status.set_reason(end.reason);
  status.set_message(end.message);
  for (corev1::PodCondition& condition : *status.mutable_conditions()) {
    if (condition.type() != "Ready" && condition.type() != "ContainersReady") continue;
    if (condition.status() != "False") *condition.mutable_lasttransitiontime() = ToTime(now);
    condition.set_status("False");
    condition.set_reason("PodFailed");
  }
  for (auto* list : {status.mutable_initcontainerstatuses(), status.mutable_containerstatuses()}) {
    for (corev1::ContainerStatus& container : *list) container = AfterRemoval(&container, {});
  }
  if (FindCondition(last, "DisruptionTarget") == nullptr) SetDisruptionTarget(end, last, now, status);
  return status;
}

bool IsReady(const corev1::PodStatus& status) {
  return std::any_of(status.conditions().begin(), status.conditions().end(), [](const corev1::PodCondition& condition) {
    return condition.type() == "Ready" && condition.status() == "True";
  });
}

std::string StatusWord(const corev1::Pod& pod) {
  const corev1::PodStatus& status = pod.status();
  if (pod.metadata().has_deletiontimestamp()) return "Terminating";
  std::string word = status.reason().empty() ? status.phase() : status.reason();
  const int inits = status.initcontainerstatuses_size();
  for (int i = 0; i < inits; ++i) {
    const corev1::ContainerStatus& init = status.initcontainerstatuses(i);
    const bool sidecar = i < pod.spec().initcontainers_size() && IsSidecar(pod.spec().initcontainers(i));
    if (InitDone(init, sidecar)) continue;
    const std::string& waiting = init.state().waiting().reason();
    if (init.state().has_terminated()) return "Init:" + init.state().terminated().reason();
    if (!waiting.empty() && waiting != "PodInitializing" && waiting != "ContainerCreating") return "Init:" + waiting;
    return fmt::format("Init:{}/{}", i, inits);
  }
  for (auto container = status.containerstatuses().rbegin(); container != status.containerstatuses().rend();
       ++container) {
    if (container->state().has_waiting() && !container->state().waiting().reason().empty()) {
      word = container->state().waiting().reason();
    } else if (container->state().has_terminated()) {
      word = container->state().terminated().reason();
    }
  }
  return word;
}

}  // namespace daemonsetd::decide
