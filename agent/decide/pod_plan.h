// The pod plan: (desired, observed, memory, now) → what may be started now. Pure; never resumed: after any end of an
// operation the worker observes and plans anew, so each action is safe to repeat.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/decide/observed.h"
#include "agent/decide/pod_memory.h"
#include "agent/decide/pod_spec.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// What is left for a container when the others, or its own preStop hook, have used up the pod's grace period (kubelet).
inline constexpr Seconds kMinimumGrace{2};

// Directories and volumes of the pod, before its sandbox.
struct SetUpPod {};
struct CreateSandbox {
  std::uint32_t attempt;
};
// Image, then CreateContainer, then StartContainer.
struct StartContainer {
  std::string name;
  std::string sandbox_id;
  std::uint32_t attempt;  // the restart count of the new instance
};
// A container that was created and never started (LC-16).
struct StartCreatedContainer {
  std::string name;
  std::string container_id;
};
// The postStart hook of a container that was just started. Its failure ends the container.
struct RunPostStart {
  std::string name;
  std::string container_id;
};
// New cpu and memory values for a running container.
struct UpdateResources {
  std::string name;
  std::string container_id;
  std::string resources;  // ResourcesText
};
// The preStop hook, if any, then SIGTERM, SIGKILL at the end: all within `grace`.
struct StopContainer {
  std::string name;
  std::string container_id;
  Seconds grace;
  std::string reason;
};
struct RemoveContainer {
  std::string name;
  std::string container_id;
};
struct StopSandbox {
  std::string sandbox_id;
};
struct RemoveSandbox {
  std::string sandbox_id;
};
// Volumes, directories and log links, after the last sandbox is gone.
struct TearDownPod {};

using Action = std::variant<SetUpPod, CreateSandbox, StartContainer, StartCreatedContainer, RunPostStart,
                            UpdateResources, StopContainer, RemoveContainer, StopSandbox, RemoveSandbox, TearDownPod>;

// Identifies an operation on one pod: two actions with equal keys never run at the same time.
std::string OperationKey(const Action& action);
// One line for logs and golden tests: `start container main (attempt 2) in sandbox 0123456789abc`.
std::string ToString(const Action& action);

struct PodIntent {
  // Of a pod that stays here while the machine goes down, and comes back if it does not.
  enum class Rest {
    kNone,
    kNothingStarts,  // what runs goes on until it is its turn
    kStop,           // containers and sandbox, within `kill_at`; records, volumes and directories stay
  };
  bool terminate = false;
  Rest rest = Rest::kNone;
  // The end of the one grace clock; every stop gets what is left of it.
  MonoTime kill_at{};
  std::string reason;
  // The node's disk is full: no dead container stays for its log and its status but the newest.
  bool spare_disk = false;
};

struct PodPlan {
  std::vector<Action> actions;      // may all start now, independent of each other
  std::optional<MonoTime> wake_at;  // plan again at this moment though nothing happens
  std::string waiting_for;          // one sentence for people; empty when nothing is missing
  bool at_rest = false;             // nothing of it runs, as Rest::kStop asks
  bool finished = false;            // nothing of the pod is left
};

// It begins something that runs.
bool IsStart(const Action& action);

PodPlan PlanPod(const corev1::Pod& pod, const PodIntent& intent, const ObservedPod& observed, const PodMemory& memory,
                MonoTime now);

}  // namespace daemonsetd::decide
