// What eviction watches on a node, under the kubelet's names, and how a threshold is written. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/base/result.h"

namespace daemonsetd::decide {

// In the order in which the kubelet reclaims: memory, disk, inodes, processes.
enum class EvictionSignal : std::uint8_t {
  kMemory,
  kPodDisk,
  kImageDisk,
  kPodDiskInodes,
  kImageDiskInodes,
  kPids,
};
inline constexpr std::size_t kEvictionSignalCount = 6;

struct EvictionSignalName {
  EvictionSignal signal;
  std::string_view name;          // as the configuration and the kubelet's texts have it
  std::string_view default_hard;  // "": none
};
inline constexpr std::array<EvictionSignalName, kEvictionSignalCount> kEvictionSignals{{
    {EvictionSignal::kMemory, "memory.available", "100Mi"},
    {EvictionSignal::kPodDisk, "nodefs.available", "10%"},
    {EvictionSignal::kImageDisk, "imagefs.available", "15%"},
    {EvictionSignal::kPodDiskInodes, "nodefs.inodesFree", "5%"},
    {EvictionSignal::kImageDiskInodes, "imagefs.inodesFree", "5%"},
    {EvictionSignal::kPids, "pid.available", ""},
}};

std::string_view NameOf(EvictionSignal signal);
std::optional<EvictionSignal> FindEvictionSignal(std::string_view name);

// A part of the capacity, or an amount. Neither: nothing, which no signal is below of.
struct EvictionThreshold {
  double percent = 0;
  std::uint64_t amount = 0;
};
// Of a capacity.
std::uint64_t ThresholdAmount(const EvictionThreshold& threshold, std::uint64_t capacity);

// "100Mi", "10%". kInvalid says what to write.
Result<EvictionThreshold> ParseEvictionThreshold(std::string_view text);

}  // namespace daemonsetd::decide
