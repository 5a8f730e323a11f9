// The Node's conditions Ready, MemoryPressure, DiskPressure and PIDPressure, with the kubelet's reasons and messages
// (pkg/kubelet/nodestatus/setters.go): dashboards and people match on them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// How much is left of how much. Unset where it could not be found out, which says nothing either way.
struct Amount {
  std::uint64_t available = 0;
  std::uint64_t capacity = 0;
};
struct PressureSignals {
  std::optional<Amount> memory;           // bytes; available = capacity less the working set
  std::optional<Amount> pod_disk;         // bytes of the file system of the pods' directories
  std::optional<Amount> pod_disk_inodes;  // file systems without a fixed number of them have none
  std::optional<Amount> image_disk;       // bytes of the runtime's file system
  std::optional<Amount> image_disk_inodes;
  std::optional<Amount> pids;
};

// Below these there is pressure. The defaults are the kubelet's hard eviction thresholds; it has none for PIDs.
struct PressureThresholds {
  std::uint64_t memory_bytes = 100ULL << 20;
  int pod_disk_percent = 10;
  int pod_disk_inodes_percent = 5;
  int image_disk_percent = 15;
  int image_disk_inodes_percent = 5;
  int pids_percent = 0;
  // How long a condition stays after the last time that its threshold was crossed, so that it does not flap.
  Nanoseconds transition_period = std::chrono::minutes(5);
};

// When each threshold was last seen crossed.
struct PressureMemory {
  std::optional<MonoTime> memory, disk, pids;
};

// After a start: a pressure that the Node reports is held until it has been over for the transition period (ST-08).
PressureMemory PressureMemoryOf(const corev1::NodeStatus& last_written, MonoTime now);

void TakeNoteOfPressure(const PressureSignals& signals, const PressureThresholds& thresholds, MonoTime now,
                        PressureMemory& memory);

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

// The four conditions in the kubelet's order, heartbeat `now`. Transition times are kept from `last_written` where the
// status is the same; an unknown readiness keeps the last written Ready (ST-08), or is not ready.
std::vector<corev1::NodeCondition> NodeConditions(const std::optional<std::vector<std::string>>& readiness_problems,
                                                  const PressureMemory& pressure, const PressureThresholds& thresholds,
                                                  const corev1::NodeStatus& last_written, Now now);

// When a condition ends by itself unless its threshold is crossed again. Unset: none holds.
std::optional<MonoTime> NextPressureChange(const PressureMemory& memory, const PressureThresholds& thresholds,
                                           MonoTime now);

}  // namespace daemonsetd::decide
