// The Node's conditions Ready, MemoryPressure, DiskPressure and PIDPressure, with the kubelet's reasons and messages
// (pkg/kubelet/nodestatus/setters.go): dashboards and people match on them. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/pressure.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// What the runtime says of itself: CRI's RuntimeReady and NetworkReady.
struct RuntimeCondition {
  bool ready = false;
  std::string reason;
  std::string message;
};
struct RuntimeHealth {
  MonoTime asked_since{};               // the first call to the runtime
  std::optional<MonoTime> answered_at;  // the last one that succeeded
  std::optional<RuntimeCondition> runtime, network;
};

// How long a silent runtime is taken for a busy one (the kubelet's).
inline constexpr Nanoseconds kRuntimePatience = std::chrono::seconds(30);

// Why the node is not ready, in the kubelet's words; an empty list: it is ready; unset: too early to tell.
std::optional<std::vector<std::string>> ReadinessProblems(const RuntimeHealth& health, bool shutting_down,
                                                          MonoTime now);

// The three conditions of pressure, in the kubelet's order, heartbeat `now`; transition times as below.
std::vector<corev1::NodeCondition> PressureConditions(const PressureMemory& pressure,
                                                      const PressureThresholds& thresholds,
                                                      const corev1::NodeStatus& last_written, Now now);

// The four conditions in the kubelet's order, heartbeat `now`. Transition times are kept from `last_written` where the
// status is the same; an unknown readiness keeps the last written Ready (ST-08), or is not ready.
std::vector<corev1::NodeCondition> NodeConditions(const std::optional<std::vector<std::string>>& readiness_problems,
                                                  const PressureMemory& pressure, const PressureThresholds& thresholds,
                                                  const corev1::NodeStatus& last_written, Now now);

}  // namespace daemonsetd::decide
