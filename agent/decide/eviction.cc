#include "agent/decide/eviction.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "agent/decide/critical_pod.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/resources.h"

namespace daemonsetd::decide {
namespace {

using model::Quantity;

bool CountsInodes(EvictionSignal signal) {
  return signal == EvictionSignal::kPodDiskInodes || signal == EvictionSignal::kImageDiskInodes;
}
bool IsAboutImages(EvictionSignal signal) {
  return signal == EvictionSignal::kImageDisk || signal == EvictionSignal::kImageDiskInodes;
}
bool IsAboutDisk(EvictionSignal signal) { return signal != EvictionSignal::kMemory && signal != EvictionSignal::kPids; }

std::optional<DiskUse> Sum(const std::vector<const std::optional<DiskUse>*>& parts) {
  DiskUse sum;
  for (const std::optional<DiskUse>* part : parts) {
    if (!*part) return std::nullopt;
    sum += **part;
  }
  return sum;
}

// What a pod uses of what the signal is about. Of a disk what is known of it, for the rest can only add to it: a
// runtime takes a while to measure a new container, which may be the one that fills it.
std::optional<std::uint64_t> UseOf(EvictionSignal signal, bool one_disk, const PodUse& use) {
  if (signal == EvictionSignal::kMemory) return use.memory;
  if (signal == EvictionSignal::kPids) return use.processes;
  std::vector<const std::optional<DiskUse>*> parts;
  if (one_disk || IsAboutImages(signal)) parts.push_back(&use.root);
  if (one_disk || !IsAboutImages(signal)) parts.insert(parts.end(), {&use.logs, &use.volumes});
  std::optional<DiskUse> known;
  for (const std::optional<DiskUse>* part : parts) {
    if (*part) (known ? *known : known.emplace()) += **part;
  }
  if (!known) return std::nullopt;
  return CountsInodes(signal) ? known->inodes : known->bytes;
}

std::uint64_t RequestOf(EvictionSignal signal, const corev1::Pod& pod) {
  if (signal == EvictionSignal::kPids || CountsInodes(signal)) return 0;  // nobody requests those
  const ResourceList requests = PodRequests(pod.spec());
  const auto request = requests.find(signal == EvictionSignal::kMemory ? kMemory : kEphemeralStorage);
  return request == requests.end() ? 0 : static_cast<std::uint64_t>(std::max<std::int64_t>(request->second.Value(), 0));
}

struct Ranked {
  std::size_t index;
  bool keeps_request;     // those that exceed theirs go first
  std::int32_t priority;  // then the less important
  double excess;          // then those that use most beyond their request
  std::string name;       // and always the same of two that are equal
};

auto Rank(const Ranked& ranked) { return std::tie(ranked.keeps_request, ranked.priority); }

std::string Number(EvictionSignal signal, std::uint64_t amount) {
  const bool bytes = !CountsInodes(signal) && signal != EvictionSignal::kPids;
  const auto number = static_cast<std::int64_t>(amount);
  return bytes ? Quantity::FromBytes(number).Canonical() : Quantity::FromMilli(number * 1000).Canonical();
}

std::optional<std::uint64_t> UseOf(EvictionSignal signal, const ContainerUse& use) {
  if (signal == EvictionSignal::kMemory) return use.memory;
  if (!IsAboutDisk(signal) || CountsInodes(signal)) return std::nullopt;
  const std::optional<DiskUse> sum = Sum({&use.root, &use.logs});
  return sum ? std::optional(sum->bytes) : std::nullopt;
}

Quantity AmountIn(const google::protobuf::Map<std::string, resourcev1::Quantity>& list, const std::string& name) {
  const auto found = list.find(name);
  return found == list.end() ? Quantity() : Quantity::From(found->second);
}

bool Exceeds(std::uint64_t bytes, const Quantity& limit) {
  return Quantity::FromBytes(static_cast<std::int64_t>(bytes)).Compare(limit) > 0;
}

bool HasSizeLimit(const corev1::Volume& volume) {
  // One in memory is a file system of that size.
  return IsEmptyDirOnDisk(volume) && volume.volumesource().emptydir().has_sizelimit() &&
         Quantity::From(volume.volumesource().emptydir().sizelimit()).Sign() > 0;
}

Quantity LimitOf(const corev1::Container& container) {
  return AmountIn(container.resources().limits(), kEphemeralStorage);
}

std::optional<ExceededLimit> ExceededVolume(const corev1::Pod& pod, const PodUse& use) {
  for (const corev1::Volume& volume : pod.spec().volumes()) {
    const auto used = use.empty_dirs.find(volume.name());
    if (!HasSizeLimit(volume) || used == use.empty_dirs.end()) continue;
    const Quantity limit = Quantity::From(volume.volumesource().emptydir().sizelimit());
    if (!Exceeds(used->second.bytes, limit)) continue;
    return ExceededLimit{.signal = "emptydirfs.limit",
                         .message = fmt::format("Usage of EmptyDir volume \"{}\" exceeds the limit \"{}\". ",
                                                volume.name(), limit.Canonical())};
  }
  return std::nullopt;
}

std::optional<ExceededLimit> ExceededByPod(const corev1::Pod& pod, const PodUse& use) {
  const ResourceList limits = PodLimits(pod.spec());
  const auto limit = limits.find(kEphemeralStorage);
  if (limit == limits.end()) return std::nullopt;
  DiskUse known;  // what could not be measured can only add to it
  for (const std::optional<DiskUse>* part : {&use.root, &use.logs, &use.volumes}) {
    if (*part) known += **part;
  }
  if (!Exceeds(known.bytes, limit->second)) return std::nullopt;
  return ExceededLimit{
      .signal = "ephemeralpodfs.limit",
      .message = fmt::format("Pod ephemeral local storage usage exceeds the total limit of containers {}. ",
                             limit->second.Canonical())};
}

std::optional<ExceededLimit> ExceededByContainer(const corev1::Pod& pod, const PodUse& use, bool one_disk) {
  for (const ContainerUse& container : use.containers) {
    const corev1::Container* const spec = FindContainer(pod, container.name);
    const Quantity limit = spec != nullptr ? LimitOf(*spec) : Quantity();
    if (limit.Sign() <= 0) continue;
    DiskUse known = container.root.value_or(DiskUse{});
    if (one_disk && container.logs) known += *container.logs;
    if (!Exceeds(known.bytes, limit)) continue;
    return ExceededLimit{.signal = "ephemeralcontainerfs.limit",
                         .message = fmt::format("Container {} exceeded its local ephemeral storage limit \"{}\". ",
                                                spec->name(), limit.Canonical())};
  }
  return std::nullopt;
}

}  // namespace

std::string_view ResourceOf(EvictionSignal signal) {
  if (signal == EvictionSignal::kMemory) return kMemory;
  if (signal == EvictionSignal::kPids) return "pids";
  return CountsInodes(signal) ? "inodes" : kEphemeralStorage;
}

bool NodeCanReclaim(EvictionSignal signal, bool one_disk) {
  return IsAboutDisk(signal) && (one_disk || IsAboutImages(signal));
}

std::vector<std::size_t> EvictionOrder(EvictionSignal signal, bool one_disk,
                                       const std::vector<EvictionCandidate>& candidates) {
  std::vector<Ranked> ranking;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const EvictionCandidate& candidate = candidates[i];
    const std::optional<std::uint64_t> use = UseOf(signal, one_disk, candidate.use);
    if (!use || IsCriticalPod(*candidate.pod, candidate.is_static)) continue;
    const std::uint64_t request = RequestOf(signal, *candidate.pod);
    ranking.push_back({.index = i,
                       .keeps_request = signal != EvictionSignal::kPids && *use <= request,
                       .priority = PriorityOf(candidate.pod->spec()),
                       .excess = static_cast<double>(*use) - static_cast<double>(request),
                       .name = NameOf(*candidate.pod)});
  }
  std::sort(ranking.begin(), ranking.end(), [](const Ranked& a, const Ranked& b) {
    if (Rank(a) != Rank(b)) return Rank(a) < Rank(b);
    return a.excess != b.excess ? a.excess > b.excess : a.name < b.name;
  });
  std::vector<std::size_t> order;
  order.reserve(ranking.size());
  for (const Ranked& ranked : ranking) order.push_back(ranked.index);
  return order;
}

Seconds EvictionGrace(const MetThreshold& threshold, Seconds most, const corev1::Pod& pod) {
  constexpr Seconds kAtOnce{1};
  if (threshold.hard) return kAtOnce;
  return std::max(kAtOnce, std::min(most, Seconds(pod.spec().terminationgraceperiodseconds())));
}

std::string EvictionMessage(const MetThreshold& threshold, const corev1::Pod& pod, const PodUse& use) {
  const std::string_view resource = ResourceOf(threshold.signal);
  std::string message =
      fmt::format("The node was low on resource: {}. Threshold quantity: {}, available: {}. ", resource,
                  Number(threshold.signal, threshold.quantity), Number(threshold.signal, threshold.available));
  for (const ContainerUse& container : use.containers) {
    const corev1::Container* const spec = FindContainer(pod, container.name);
    const std::optional<std::uint64_t> used = UseOf(threshold.signal, container);
    if (spec == nullptr || !used) continue;
    const Quantity request = AmountIn(spec->resources().requests(), std::string(resource));
    if (!Exceeds(*used, request)) continue;
    message += fmt::format("Container {} was using {}, request is {}, has larger consumption of {}. ", spec->name(),
                           Number(threshold.signal, *used), request.Canonical(), resource);
  }
  return message;
}

bool LimitsItsDisk(const corev1::Pod& pod) {
  const auto& volumes = pod.spec().volumes();
  if (std::any_of(volumes.begin(), volumes.end(), HasSizeLimit)) return true;
  return PodLimits(pod.spec()).contains(kEphemeralStorage);
}

std::optional<ExceededLimit> FindExceededLimit(const corev1::Pod& pod, const PodUse& use, bool one_disk) {
  if (auto volume = ExceededVolume(pod, use)) return volume;
  if (auto whole = ExceededByPod(pod, use)) return whole;
  return ExceededByContainer(pod, use, one_disk);
}

}  // namespace daemonsetd::decide
