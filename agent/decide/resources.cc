#include "agent/decide/resources.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "agent/decide/pod_spec.h"

namespace daemonsetd::decide {
namespace {

using model::Quantity;
using QuantityMap = google::protobuf::Map<std::string, resourcev1::Quantity>;

constexpr std::string_view kHugePagesPrefix = "hugepages-";

// pkg/kubelet/cm/helpers_linux.go.
constexpr std::int64_t kSharesPerCpu = 1024;
constexpr std::int64_t kMilliPerCpu = 1000;
constexpr std::int64_t kMinShares = 2;
constexpr std::int64_t kMaxShares = 262'144;
constexpr std::int64_t kMinQuota = 1'000;  // microseconds: the kernel refuses less
constexpr std::int64_t kMinMilliCpuLimit = 10;

// pkg/kubelet/qos/policy.go.
constexpr std::int64_t kGuaranteedOomScore = -997;
constexpr std::int64_t kBestEffortOomScore = 1000;
constexpr std::int64_t kMinBurstableOomScore = 1000 + kGuaranteedOomScore;
constexpr char kNodeCriticalClass[] = "system-node-critical";

// value * factor / divisor without overflow, saturated.
std::int64_t Scale(std::int64_t value, std::int64_t factor, std::int64_t divisor) {
  __extension__ using Wide = __int128;
  const Wide scaled = static_cast<Wide>(value) * factor / divisor;
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  return scaled > kMax ? kMax : static_cast<std::int64_t>(scaled);
}

ResourceList ToList(const QuantityMap& map) {
  ResourceList list;
  for (const auto& [name, quantity] : map) list.emplace(name, Quantity::From(quantity));
  return list;
}

Quantity Get(const ResourceList& list, const std::string& name) {
  const auto entry = list.find(name);
  return entry == list.end() ? Quantity() : entry->second;
}

void Add(ResourceList& list, const ResourceList& other) {
  for (const auto& [name, quantity] : other) {
    const auto [entry, added] = list.emplace(name, quantity);
    if (!added) entry->second += quantity;
  }
}

void RaiseTo(ResourceList& list, const ResourceList& other) {
  for (const auto& [name, quantity] : other) {
    const auto [entry, added] = list.emplace(name, quantity);
    if (!added && quantity.Compare(entry->second) > 0) entry->second = quantity;
  }
}

ResourceList Limits(const corev1::ResourceRequirements& resources) { return ToList(resources.limits()); }

ResourceList Requests(const corev1::ResourceRequirements& resources) {
  ResourceList requests = ToList(resources.requests());
  for (const auto& [name, limit] : resources.limits()) requests.emplace(name, Quantity::From(limit));
  return requests;
}

using ReadList = ResourceList (*)(const corev1::ResourceRequirements&);

ResourceList Aggregate(const corev1::PodSpec& spec, ReadList read) {
  ResourceList total;
  for (const corev1::Container& container : spec.containers()) Add(total, read(container.resources()));

  // An init container runs while the sidecars before it already run.
  ResourceList sidecars;
  ResourceList init_peak;
  for (const corev1::Container& container : spec.initcontainers()) {
    ResourceList own = read(container.resources());
    if (IsSidecar(container)) {
      Add(total, own);
      Add(sidecars, own);
      RaiseTo(init_peak, sidecars);
    } else {
      Add(own, sidecars);
      RaiseTo(init_peak, own);
    }
  }
  RaiseTo(total, init_peak);
  return total;
}

// What spec.resources may set for the pod as a whole.
bool IsPodLevelResource(std::string_view name) {
  return name == kCpu || name == kMemory || name.starts_with(kHugePagesPrefix);
}

ResourceList PodLevelLimits(const corev1::PodSpec& spec) {
  ResourceList limits = ToList(spec.resources().limits());
  std::erase_if(limits, [](const auto& entry) { return !IsPodLevelResource(entry.first); });
  return limits;
}

// Unset requests default to what the containers request together, and to the pod's limits where they request nothing.
ResourceList PodLevelRequests(const corev1::PodSpec& spec) {
  ResourceList requests = ToList(spec.resources().requests());
  const ResourceList limits = PodLevelLimits(spec);
  if (!limits.empty()) {
    requests.merge(Aggregate(spec, Requests));
    for (const auto& [name, limit] : limits) requests.emplace(name, limit);
  }
  std::erase_if(requests, [](const auto& entry) { return !IsPodLevelResource(entry.first); });
  return requests;
}

void Override(ResourceList& list, const ResourceList& other) {
  for (const auto& [name, quantity] : other) list.insert_or_assign(name, quantity);
}

ResourceList PositiveComputeOnly(ResourceList list) {
  std::erase_if(list, [](const auto& entry) {
    return (entry.first != kCpu && entry.first != kMemory) || entry.second.Sign() <= 0;
  });
  return list;
}

bool SameCompute(const ResourceList& a, const ResourceList& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&b](const auto& entry) {
    const auto other = b.find(entry.first);
    return other != b.end() && other->second.Compare(entry.second) == 0;
  });
}

std::int64_t SharesOf(std::int64_t milli_cpu) {
  return std::clamp(Scale(milli_cpu, kSharesPerCpu, kMilliPerCpu), kMinShares, kMaxShares);
}

std::int64_t QuotaOf(std::int64_t milli_cpu, std::int64_t period) {
  if (milli_cpu <= 0) return 0;
  return std::max(Scale(milli_cpu, period, kMilliPerCpu), kMinQuota);
}

std::int64_t MemoryRequest(const corev1::Container& container) {
  return std::max<std::int64_t>(Get(Requests(container.resources()), kMemory).Value(), 0);
}

// Memory that the pod requests beyond its containers' requests, spread over all of them.
std::int64_t PodMemoryShare(const corev1::PodSpec& spec) {
  const std::int64_t pod_request = Get(PodLevelRequests(spec), kMemory).Value();
  const std::int64_t rest = pod_request - Get(Aggregate(spec, Requests), kMemory).Value();
  const int containers = spec.containers_size() + spec.initcontainers_size();
  return pod_request > 0 && rest > 0 && containers > 0 ? rest / containers : 0;
}

std::int64_t OomScore(std::int64_t request, std::int64_t node_memory) {
  return request >= node_memory ? 0 : 1000 - Scale(request, 1000, node_memory);
}

std::int64_t OomScoreAdj(const corev1::PodSpec& spec, const corev1::Container& container, std::int64_t node_memory) {
  // The API server sets the priority that goes with the class; a static pod of that class counts as critical as well.
  if (spec.priorityclassname() == kNodeCriticalClass) return kGuaranteedOomScore;
  switch (ComputeQos(spec)) {
    case QosClass::kGuaranteed: return kGuaranteedOomScore;
    case QosClass::kBestEffort: return kBestEffortOomScore;
    case QosClass::kBurstable: break;
  }
  if (node_memory <= 0) return kBestEffortOomScore - 1;

  const std::int64_t share = PodMemoryShare(spec);
  std::int64_t request = MemoryRequest(container);
  // A sidecar must not be killed before the containers that it serves: it scores like the smallest of them at most.
  const bool is_init = std::any_of(spec.initcontainers().begin(), spec.initcontainers().end(),
                                   [&](const corev1::Container& other) { return other.name() == container.name(); });
  if (is_init && IsSidecar(container) && spec.containers_size() > 0) {
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    for (const corev1::Container& regular : spec.containers()) smallest = std::min(smallest, MemoryRequest(regular));
    request = std::max(request, smallest);
  }
  if (request >= node_memory || share >= node_memory) return kMinBurstableOomScore;
  return std::clamp(OomScore(request + share, node_memory), kMinBurstableOomScore, kBestEffortOomScore - 1);
}

}  // namespace

std::string_view ToString(QosClass qos) {
  switch (qos) {
    case QosClass::kGuaranteed: return "Guaranteed";
    case QosClass::kBurstable: return "Burstable";
    case QosClass::kBestEffort: return "BestEffort";
  }
  return "Burstable";
}

QosClass ComputeQos(const corev1::PodSpec& spec) {
  ResourceList requests;
  ResourceList limits;
  bool every_limit_set = true;
  const auto take = [&](const ResourceList& some_requests, const ResourceList& some_limits) {
    const ResourceList compute_limits = PositiveComputeOnly(some_limits);
    every_limit_set = every_limit_set && compute_limits.size() == 2;
    Add(requests, PositiveComputeOnly(some_requests));
    Add(limits, compute_limits);
  };

  const ResourceList pod_requests = PodLevelRequests(spec);
  const ResourceList pod_limits = PodLevelLimits(spec);
  if (!pod_requests.empty() || !pod_limits.empty()) {
    take(pod_requests, pod_limits);
  } else {
    for (const auto* containers : {&spec.containers(), &spec.initcontainers()}) {
      for (const corev1::Container& container : *containers) {
        take(Requests(container.resources()), Limits(container.resources()));
      }
    }
  }
  if (requests.empty() && limits.empty()) return QosClass::kBestEffort;
  return every_limit_set && SameCompute(requests, limits) ? QosClass::kGuaranteed : QosClass::kBurstable;
}

CgroupValues ComputeCgroup(const corev1::PodSpec& spec, const corev1::Container& container,
                           std::int64_t node_memory_bytes) {
  // A container without a limit of its own may use what the pod as a whole may.
  const ResourceList pod_limits = PodLevelLimits(spec);
  ResourceList limits = Limits(container.resources());
  for (const auto& [name, limit] : pod_limits) {
    const auto [entry, added] = limits.emplace(name, limit);
    if (!added && entry->second.IsZero()) entry->second = limit;
  }
  ResourceList requests = ToList(container.resources().requests());
  requests.emplace(kCpu, Get(limits, kCpu));

  CgroupValues values;
  values.cpu_shares = SharesOf(Get(requests, kCpu).MilliValue());
  values.cpu_quota = QuotaOf(Get(limits, kCpu).MilliValue(), values.cpu_period);
  values.memory_limit = std::max<std::int64_t>(Get(limits, kMemory).Value(), 0);
  values.oom_score_adj = OomScoreAdj(spec, container, node_memory_bytes);
  return values;
}

ResourceList PodRequests(const corev1::PodSpec& spec) {
  ResourceList requests = Aggregate(spec, Requests);
  Override(requests, PodLevelRequests(spec));
  Add(requests, ToList(spec.overhead()));
  return requests;
}

ResourceList PodLimits(const corev1::PodSpec& spec) {
  ResourceList limits = Aggregate(spec, Limits);
  Override(limits, PodLevelLimits(spec));
  // Overhead does not turn "no limit" into a limit.
  for (const auto& [name, overhead] : spec.overhead()) {
    const auto limit = limits.find(name);
    if (limit != limits.end() && !limit->second.IsZero()) limit->second += Quantity::From(overhead);
  }
  return limits;
}

corev1::ResourceRequirements ActualResources(const corev1::ResourceRequirements& wanted,
                                             const ::runtime::v1::LinuxContainerResources& runtime) {
  corev1::ResourceRequirements actual = wanted;
  // What is so small that the kernel knows no difference stays as it was wanted.
  const auto correct_cpu = [](QuantityMap& list, std::int64_t milli_cpu, std::int64_t smallest) {
    if (list.empty() || milli_cpu <= 0) return;
    const auto entry = list.find(kCpu);
    const std::int64_t known = entry == list.end() ? 0 : Quantity::From(entry->second).MilliValue();
    if (milli_cpu > smallest || known > smallest) list[kCpu] = Quantity::FromMilli(milli_cpu).ToMessage();
  };
  if (runtime.cpu_period() > 0) {
    correct_cpu(*actual.mutable_limits(), Scale(runtime.cpu_quota(), kMilliPerCpu, runtime.cpu_period()),
                kMinMilliCpuLimit);
  }
  const std::int64_t shares = std::min(runtime.cpu_shares(), kMaxShares);
  const std::int64_t rounded_up = (shares * kMilliPerCpu + kSharesPerCpu - 1) / kSharesPerCpu;
  correct_cpu(*actual.mutable_requests(), shares < kMinShares ? 0 : rounded_up, kMinShares);
  if (!actual.limits().empty() && runtime.memory_limit_in_bytes() > 0) {
    (*actual.mutable_limits())[kMemory] = Quantity::FromBytes(runtime.memory_limit_in_bytes()).ToMessage();
  }
  return actual;
}

}  // namespace daemonsetd::decide
