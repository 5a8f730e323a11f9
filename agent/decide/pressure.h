// How much memory, disk and how many PIDs a node has left, and since when that is too little: with the thresholds,
// grace periods and minimum reclaims of the kubelet's eviction (pkg/kubelet/eviction). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/eviction_signals.h"
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
  std::optional<bool> one_disk;  // pods and images share a file system
};
const std::optional<Amount>& SignalOf(const PressureSignals& signals, EvictionSignal signal);

struct PressureReading {
  PressureSignals signals;
  MonoTime read_at{};  // when the reading began
};

struct WatchedThreshold {
  EvictionSignal signal{};
  EvictionThreshold least;            // below it there is pressure
  EvictionThreshold minimum_reclaim;  // once it was, until there is this much more
  std::optional<Nanoseconds> grace;   // how long before pods are evicted; unset: at once
};
struct PressureThresholds {
  std::vector<WatchedThreshold> watched = HardDefaults();
  // How long a condition stays after the last time that a threshold was crossed, so that it does not flap.
  Nanoseconds transition_period = std::chrono::minutes(5);

  // The kubelet's.
  static std::vector<WatchedThreshold> HardDefaults();
};

struct PressureMemory {
  // When each condition was last seen to hold.
  std::optional<MonoTime> memory, disk, pids;
  struct Watch {
    std::optional<MonoTime> below_since;
    bool met = false;    // its grace is over; until its minimum reclaim is reached
    bool known = false;  // by the last reading
  };
  std::vector<Watch> watches;  // as PressureThresholds::watched
};

// The three conditions of a Node.
struct PressureKind {
  const char* type;
  const char* reason_true;
  const char* message_true;
  const char* reason_false;
  const char* message_false;
  std::optional<MonoTime> PressureMemory::* last_seen;
};
inline constexpr PressureKind kPressures[] = {
    {"MemoryPressure", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available",
     "KubeletHasSufficientMemory", "kubelet has sufficient memory available", &PressureMemory::memory},
    {"DiskPressure", "KubeletHasDiskPressure", "kubelet has disk pressure", "KubeletHasNoDiskPressure",
     "kubelet has no disk pressure", &PressureMemory::disk},
    {"PIDPressure", "KubeletHasInsufficientPID", "kubelet has insufficient PID available", "KubeletHasSufficientPID",
     "kubelet has sufficient PID available", &PressureMemory::pids},
};
const PressureKind& KindOf(EvictionSignal signal);

// After a start: a pressure that the Node reports is held until it has been over for the transition period (ST-08).
PressureMemory PressureMemoryOf(const corev1::NodeStatus& last_written, MonoTime now);

void TakeNoteOfPressure(const PressureSignals& signals, const PressureThresholds& thresholds, MonoTime now,
                        PressureMemory& memory);

bool Holds(const std::optional<MonoTime>& last_seen, const PressureThresholds& thresholds, MonoTime now);

// When a condition ends by itself unless its threshold is crossed again. Unset: none holds.
std::optional<MonoTime> NextPressureChange(const PressureMemory& memory, const PressureThresholds& thresholds,
                                           MonoTime now);

// A threshold that asks for something to be reclaimed now.
struct MetThreshold {
  EvictionSignal signal{};
  bool hard = true;
  std::uint64_t quantity = 0;  // what should be left at least
  std::uint64_t available = 0;
};
// The most pressing one by that reading: memory before disk before PIDs (kubelet), a hard one before a soft one. What
// could not be read asks for nothing.
std::optional<MetThreshold> MostPressing(const PressureSignals& signals, const PressureThresholds& thresholds,
                                         const PressureMemory& memory);

}  // namespace daemonsetd::decide
