#include "agent/decide/node_conditions.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/conditions.h"

namespace daemonsetd::decide {
namespace {

struct PressureKind {
  const char* type;
  const char* reason_true;
  const char* message_true;
  const char* reason_false;
  const char* message_false;
  std::optional<MonoTime> PressureMemory::* last_seen;
};

constexpr PressureKind kPressures[] = {
    {"MemoryPressure", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available",
     "KubeletHasSufficientMemory", "kubelet has sufficient memory available", &PressureMemory::memory},
    {"DiskPressure", "KubeletHasDiskPressure", "kubelet has disk pressure", "KubeletHasNoDiskPressure",
     "kubelet has no disk pressure", &PressureMemory::disk},
    {"PIDPressure", "KubeletHasInsufficientPID", "kubelet has insufficient PID available", "KubeletHasSufficientPID",
     "kubelet has sufficient PID available", &PressureMemory::pids},
};

bool BelowPercent(const std::optional<Amount>& amount, int percent) {
  if (!amount || amount->capacity == 0 || percent <= 0) return false;
  const double limit = static_cast<double>(amount->capacity) * percent / 100;
  return static_cast<double>(amount->available) < limit;
}

bool Holds(const std::optional<MonoTime>& last_seen, const PressureThresholds& thresholds, MonoTime now) {
  return last_seen && now - *last_seen < thresholds.transition_period;
}

std::string Describe(std::string_view type, const RuntimeCondition& condition) {
  return fmt::format("{}={} reason:{} message:{}", type, condition.ready, condition.reason, condition.message);
}

// As upstream prints a list of errors: one as it is, several in brackets.
std::string Join(const std::vector<std::string>& problems) {
  if (problems.size() == 1) return problems.front();
  return fmt::format("[{}]", fmt::join(problems, ", "));
}

corev1::NodeCondition MakeCondition(std::string_view type, bool status, std::string_view reason, std::string message) {
  corev1::NodeCondition condition;
  condition.set_type(std::string(type));
  condition.set_status(status ? "True" : "False");
  condition.set_reason(std::string(reason));
  condition.set_message(std::move(message));
  return condition;
}

}  // namespace

PressureMemory PressureMemoryOf(const corev1::NodeStatus& last_written, MonoTime now) {
  PressureMemory memory;
  for (const PressureKind& kind : kPressures) {
    const corev1::NodeCondition* condition = FindCondition(last_written, kind.type);
    if (condition != nullptr && condition->status() == "True") memory.*kind.last_seen = now;
  }
  return memory;
}

void TakeNoteOfPressure(const PressureSignals& signals, const PressureThresholds& thresholds, MonoTime now,
                        PressureMemory& memory) {
  if (signals.memory && signals.memory->available < thresholds.memory_bytes) memory.memory = now;
  if (BelowPercent(signals.pod_disk, thresholds.pod_disk_percent) ||
      BelowPercent(signals.pod_disk_inodes, thresholds.pod_disk_inodes_percent) ||
      BelowPercent(signals.image_disk, thresholds.image_disk_percent) ||
      BelowPercent(signals.image_disk_inodes, thresholds.image_disk_inodes_percent)) {
    memory.disk = now;
  }
  if (BelowPercent(signals.pids, thresholds.pids_percent)) memory.pids = now;
}

std::optional<std::vector<std::string>> ReadinessProblems(const RuntimeHealth& health, bool shutting_down,
                                                          MonoTime now) {
  std::vector<std::string> problems;
  const MonoTime last_sign = health.answered_at.value_or(health.asked_since);
  const bool silent = now - last_sign >= kRuntimePatience;
  if (silent) {
    problems.push_back("container runtime is down");
  } else if (!health.answered_at && !shutting_down) {
    return std::nullopt;
  }
  if (health.runtime && !health.runtime->ready) {
    problems.push_back("container runtime not ready: " + Describe("RuntimeReady", *health.runtime));
  }
  if (health.network && !health.network->ready) {
    problems.push_back("container runtime network not ready: " + Describe("NetworkReady", *health.network));
  }
  if (shutting_down) problems.push_back("node is shutting down");
  return problems;
}

std::vector<corev1::NodeCondition> NodeConditions(const std::optional<std::vector<std::string>>& readiness_problems,
                                                  const PressureMemory& pressure, const PressureThresholds& thresholds,
                                                  const corev1::NodeStatus& last_written, Now now) {
  std::vector<corev1::NodeCondition> conditions;
  for (const PressureKind& kind : kPressures) {
    const bool holds = Holds(pressure.*kind.last_seen, thresholds, now.mono);
    conditions.push_back(MakeCondition(kind.type, holds, holds ? kind.reason_true : kind.reason_false,
                                       holds ? kind.message_true : kind.message_false));
  }
  const corev1::NodeCondition* last_ready = FindCondition(last_written, "Ready");
  // Unknown is what a controller writes for a node that fell silent; it says nothing about the node.
  const bool proven_once = last_ready != nullptr && last_ready->status() != "Unknown";
  if (!readiness_problems && proven_once) {
    conditions.push_back(*last_ready);
  } else if (!readiness_problems) {
    conditions.push_back(
        MakeCondition("Ready", false, "KubeletNotReady", "container runtime status check may not have completed yet"));
  } else if (readiness_problems->empty()) {
    conditions.push_back(MakeCondition("Ready", true, "KubeletReady", "kubelet is posting ready status"));
  } else {
    conditions.push_back(MakeCondition("Ready", false, "KubeletNotReady", Join(*readiness_problems)));
  }

  for (corev1::NodeCondition& condition : conditions) {
    const corev1::NodeCondition* last = FindCondition(last_written, condition.type());
    const bool same = last != nullptr && last->status() == condition.status() && last->has_lasttransitiontime();
    *condition.mutable_lasttransitiontime() = same ? last->lasttransitiontime() : ToApiTime(now.wall);
    *condition.mutable_lastheartbeattime() = ToApiTime(now.wall);
  }
  return conditions;
}

std::optional<MonoTime> NextPressureChange(const PressureMemory& memory, const PressureThresholds& thresholds,
                                           MonoTime now) {
  std::optional<MonoTime> next;
  for (const PressureKind& kind : kPressures) {
    const std::optional<MonoTime>& last_seen = memory.*kind.last_seen;
    if (!Holds(last_seen, thresholds, now)) continue;
    const MonoTime end = *last_seen + thresholds.transition_period;
    if (!next || end < *next) next = end;
  }
  return next;
}

}  // namespace daemonsetd::decide
