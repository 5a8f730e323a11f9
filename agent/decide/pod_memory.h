// What a pod worker remembers between two plans: everything that containerd cannot tell.
// Losing it (agent restart) costs at most one early retry, never a wrong start.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/base/backoff.h"
#include "agent/base/time_point.h"
#include "agent/decide/observed.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// Crash restarts: the first one is immediate, then 10 s doubling to 5 min, reset after 10 min of running
// (kubelet's defaults; configurable per node).
inline constexpr BackoffLimits kDefaultCrashLoopBackoff{
    .initial = std::chrono::seconds(10), .maximum = std::chrono::minutes(5), .reset_after = std::chrono::minutes(10)};
// Failed operations (create, start, stop, remove, set up): quick at first, then patient. At most 9 tries in 10 minutes.
inline constexpr BackoffLimits kOperationBackoff{.initial = std::chrono::seconds(2),
                                                 .maximum = std::chrono::minutes(5)};
// A sandbox that dies by itself soon after it was made (LC-11).
inline constexpr BackoffLimits kSandboxBackoff{.initial = std::chrono::seconds(1), .maximum = std::chrono::minutes(5)};

// Why a container that should run does not: Kubernetes' words ("ErrImagePull", "CreateContainerError", ...).
struct WaitingReason {
  std::string reason;
  std::string message;
};

struct ContainerMemory {
  // Length of the wait before the next restart after a crash; zero: restart at once.
  Nanoseconds crash_delay = Nanoseconds::zero();
  // When the exit of the newest instance was first seen, on the monotonic clock.
  std::string exited_id;
  MonoTime exit_seen{};
  // The last failed start, until one succeeds.
  std::optional<WaitingReason> waiting;
  // Attempts below this are taken in the runtime although no list shows them (a reserved name, old log files).
  std::uint32_t lowest_attempt = 0;
};

enum class ProbeRole { kStartup, kLiveness, kReadiness };

// Equal results of one probe in a row.
struct ProbeStreak {
  bool success = false;
  int length = 0;
};

// A running container that has to die: its probe failed too often, or its postStart hook failed.
struct ContainerKill {
  Seconds grace;
  std::string message;  // the Event's text
};

// What is known of one container ID beyond its record in the runtime; decide/probe_rules reads and writes it.
struct InstanceMemory {
  std::optional<bool> started;  // by its startup probe
  std::optional<bool> ready;    // by its readiness probe
  std::map<ProbeRole, ProbeStreak> streaks;
  bool post_start_pending = false;  // its hook was not run to its end yet
  std::optional<ContainerKill> kill;
  std::optional<std::string> last_words;  // its termination message, once it has exited and that was read
  std::string resources;                  // ResourcesText of what it has; empty: what its annotation says
  bool created_here = false;              // by this process; otherwise adopted
  bool observed = false;                  // the runtime has shown it
  bool unstartable = false;  // the runtime created it and has something of it running already: only a new one helps
};

struct InFlight {
  MonoTime since;
  // Of a stop: the moment of SIGKILL. A later request may only bring it forward.
  std::optional<MonoTime> kill_at;
};

// How a pod ended that its node ended: it is Failed, for this reason, and no container of it stays.
struct PodEnd {
  std::string reason;       // "Evicted"
  std::string message;      // a sentence for people
  bool disruption = false;  // not for what the pod did itself: its condition DisruptionTarget says so
};

struct PodMemory {
  std::map<std::string, ContainerMemory> containers;  // by name
  std::map<std::string, InstanceMemory> instances;    // by container ID
  // Operations that were started and have not ended, by OperationKey().
  std::map<std::string, InFlight> in_flight;
  // Failed operations, by OperationKey(); erased by success.
  std::map<std::string, Backoff> failures;
  std::optional<WaitingReason> sandbox_waiting;
  Backoff sandbox_backoff{kSandboxBackoff};
  std::string live_sandbox_id;  // the sandbox that was last seen ready, and since when
  MonoTime live_since{};
  std::uint32_t lowest_sandbox_attempt = 0;
  bool set_up = false;     // directories and volumes are there
  bool torn_down = false;  // and are gone again
  // Final once set: "Succeeded" or "Failed" (LC-23).
  std::string terminal_phase;
  std::optional<PodEnd> end;  // set with it, where the node ended the pod

  // Null when nothing is known of it.
  const InstanceMemory* Instance(const std::string& container_id) const {
    const auto instance = instances.find(container_id);
    return instance == instances.end() ? nullptr : &instance->second;
  }
};

struct PlanLimits {
  BackoffLimits crash_loop = kDefaultCrashLoopBackoff;
};

// Takes note of what the observation says about restarts, dead sandboxes and the end of the pod. Called by the worker
// before each plan.
void Remember(const corev1::Pod& pod, const ObservedPod& observed, MonoTime now, const PlanLimits& limits,
              PodMemory& memory);

// Restart count of an instance: its annotation, or its CRI attempt where the annotation is missing.
std::uint32_t RestartCount(const ::runtime::v1::ContainerStatus& status);

}  // namespace daemonsetd::decide
