#include "agent/decide/node_conditions.h"

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/conditions.h"

namespace daemonsetd::decide {
namespace {

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

void SetTimes(corev1::NodeCondition& condition, const corev1::NodeStatus& last_written, Now now) {
  const corev1::NodeCondition* last = FindCondition(last_written, condition.type());
  const bool same = last != nullptr && last->status() == condition.status() && last->has_lasttransitiontime();
  *condition.mutable_lasttransitiontime() = same ? last->lasttransitiontime() : ToApiTime(now.wall);
  *condition.mutable_lastheartbeattime() = ToApiTime(now.wall);
}

}  // namespace

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

std::vector<corev1::NodeCondition> PressureConditions(const PressureMemory& pressure,
                                                      const PressureThresholds& thresholds,
                                                      const corev1::NodeStatus& last_written, Now now) {
  std::vector<corev1::NodeCondition> conditions;
  for (const PressureKind& kind : kPressures) {
    const bool holds = Holds(pressure.*kind.last_seen, thresholds, now.mono);
    conditions.push_back(MakeCondition(kind.type, holds, holds ? kind.reason_true : kind.reason_false,
                                       holds ? kind.message_true : kind.message_false));
    SetTimes(conditions.back(), last_written, now);
  }
  return conditions;
}

std::vector<corev1::NodeCondition> NodeConditions(const std::optional<std::vector<std::string>>& readiness_problems,
                                                  const PressureMemory& pressure, const PressureThresholds& thresholds,
                                                  const corev1::NodeStatus& last_written, Now now) {
  std::vector<corev1::NodeCondition> conditions = PressureConditions(pressure, thresholds, last_written, now);
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

  SetTimes(conditions.back(), last_written, now);
  return conditions;
}

}  // namespace daemonsetd::decide
