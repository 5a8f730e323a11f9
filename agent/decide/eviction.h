// Which pod a node in need evicts first, when one goes for what it uses itself, and what it is told: the kubelet's
// rules and words (pkg/kubelet/eviction), but for one: what could not be measured evicts nobody. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/pressure.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

inline constexpr char kEvictedReason[] = "Evicted";
inline constexpr char kThresholdMetReason[] = "EvictionThresholdMet";

struct DiskUse {
  std::uint64_t bytes = 0;
  std::uint64_t inodes = 0;

  DiskUse& operator+=(const DiskUse& other) {
    bytes += other.bytes;
    inodes += other.inodes;
    return *this;
  }
};
// Unset: it could not be measured, or nobody asked.
struct ContainerUse {
  std::string name;
  std::optional<std::uint64_t> memory;  // working set
  std::optional<DiskUse> root, logs;    // what it wrote above its image
};
struct PodUse {
  std::vector<ContainerUse> containers;
  std::optional<std::uint64_t> memory;
  std::optional<DiskUse> root, logs, volumes;  // of all containers; of all emptyDirs on disk
  std::optional<std::uint64_t> processes;
  std::map<std::string, DiskUse> empty_dirs;  // by name, those that were measured
};

struct EvictionCandidate {
  const corev1::Pod* pod = nullptr;  // something of it runs
  bool is_static = false;            // from a Pod manifest of this node
  PodUse use;
};

// "memory", "ephemeral-storage", "inodes", "pids": what an Event says is reclaimed.
std::string_view ResourceOf(EvictionSignal signal);

// Images and dead containers lie on the disk that this signal is about. `one_disk`: PressureSignals'.
bool NodeCanReclaim(EvictionSignal signal, bool one_disk);

// Indexes of those that may be evicted, the first to go first. Critical pods are not among them, nor those of whose use
// of the resource nothing is known.
std::vector<std::size_t> EvictionOrder(EvictionSignal signal, bool one_disk,
                                       const std::vector<EvictionCandidate>& candidates);

// Within what the pod has to end. `most`: evictionMaxPodGracePeriod.
Seconds EvictionGrace(const MetThreshold& threshold, Seconds most, const corev1::Pod& pod);

// Why, for the pod's status and its Event.
std::string EvictionMessage(const MetThreshold& threshold, const corev1::Pod& pod, const PodUse& use);

// A pod with a limit of its own on the node's disk: sizeLimit of an emptyDir, ephemeral-storage of containers.
bool LimitsItsDisk(const corev1::Pod& pod);
struct ExceededLimit {
  std::string signal;   // the kubelet's, for metrics: "emptydirfs.limit"
  std::string message;  // for the pod's status and its Event
};
std::optional<ExceededLimit> FindExceededLimit(const corev1::Pod& pod, const PodUse& use, bool one_disk);

}  // namespace daemonsetd::decide
