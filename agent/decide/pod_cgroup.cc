#include "agent/decide/pod_cgroup.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "agent/base/text.h"

namespace daemonsetd::decide {
namespace {

using model::Quantity;

constexpr std::string_view kHugePagesPrefix = "hugepages-";
constexpr char kKubepods[] = "kubepods";
constexpr std::string_view kPod = "pod";
constexpr std::string_view kSlice = ".slice";

constexpr std::int64_t kMinShares = 2;
constexpr std::int64_t kMaxShares = 262'144;
constexpr std::int64_t kMaxWeight = 10'000;
constexpr std::uint64_t kInfinity = std::numeric_limits<std::uint64_t>::max();

constexpr std::array kClasses{QosClass::kGuaranteed, QosClass::kBurstable, QosClass::kBestEffort};

std::vector<std::string> Names(std::string_view text, char separator) {
  std::vector<std::string> names;
  for (const std::string_view part : SplitText(text, separator)) {
    if (!part.empty() && part != ".") names.emplace_back(part);
  }
  return names;
}

std::string Escaped(std::string part) {
  // In the name of a slice, '-' stands between a parent and its child.
  std::replace(part.begin(), part.end(), '-', '_');
  return part;
}

// The parts of a slice's name. Up to the last name that is a slice already, that name says it all.
std::vector<std::string> SliceParts(const CgroupName& name) {
  std::vector<std::string> parts;
  for (const std::string& part : name) {
    if (part.ends_with(kSlice)) {
      parts = Names(std::string_view(part).substr(0, part.size() - kSlice.size()), '-');
    } else {
      parts.push_back(Escaped(part));
    }
  }
  return parts;
}

bool IsUid(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

std::int64_t Get(const ResourceList& list, const char* name, std::int64_t (Quantity::*read)() const) {
  const auto found = list.find(name);
  return found == list.end() ? 0 : (found->second.*read)();
}

// Every container has a positive limit of it, or the pod as a whole.
bool IsLimited(const corev1::PodSpec& spec, const std::string& resource) {
  const auto has = [&](const auto& limits) {
    const auto found = limits.find(resource);
    return found != limits.end() && !Quantity::From(found->second).IsZero();
  };
  if (has(spec.resources().limits())) return true;
  for (const auto* containers : {&spec.initcontainers(), &spec.containers()}) {
    for (const corev1::Container& container : *containers) {
      if (!has(container.resources().limits())) return false;
    }
  }
  return true;
}

// 2097152 is "2MB": a kernel's name for pages of 2Mi. Empty where it has none.
std::string PageSizeName(std::int64_t bytes) {
  constexpr std::array kUnits{"B", "KB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return bytes > 0 && bytes < 1024 ? std::to_string(bytes) + kUnits[unit] : std::string();
}

std::int64_t SharesOf(std::int64_t milli_cpu) { return std::clamp(milli_cpu * 1024 / 1000, kMinShares, kMaxShares); }

std::int64_t MilliCpu(const ResourceList& list) {
  // More than the kernel can say is the most that it can say.
  return std::clamp<std::int64_t>(Get(list, kCpu, &Quantity::MilliValue), 0, std::numeric_limits<std::int32_t>::max());
}

}  // namespace

CgroupName CgroupOf(std::string_view path) { return Names(path, '/'); }

CgroupName KubepodsCgroup(std::string_view root) {
  CgroupName name = CgroupOf(root);
  name.emplace_back(kKubepods);
  return name;
}

CgroupName QosCgroup(std::string_view root, QosClass qos) {
  CgroupName name = KubepodsCgroup(root);
  if (qos == QosClass::kBurstable) name.emplace_back("burstable");
  if (qos == QosClass::kBestEffort) name.emplace_back("besteffort");
  return name;
}

CgroupName PodCgroup(std::string_view root, QosClass qos, const std::string& uid) {
  CgroupName name = QosCgroup(root, qos);
  name.push_back(std::string(kPod) + uid);
  return name;
}

std::vector<CgroupName> PodCgroups(std::string_view root, const std::string& uid) {
  std::vector<CgroupName> names;
  names.reserve(kClasses.size());
  for (const QosClass qos : kClasses) names.push_back(PodCgroup(root, qos, uid));
  return names;
}

std::string CgroupfsPath(const CgroupName& name) {
  std::string path;
  for (const std::string& part : name) path.append("/").append(part);
  return path.empty() ? "/" : path;
}

std::string SliceName(const CgroupName& name) {
  std::string slice;
  for (const std::string& part : SliceParts(name)) slice.append(slice.empty() ? "" : "-").append(part);
  return slice.append(kSlice);
}

std::string SlicePath(const CgroupName& name) {
  std::string path;
  std::string slice;
  for (const std::string& part : SliceParts(name)) {
    slice.append(slice.empty() ? "" : "-").append(part);
    path.append("/").append(slice).append(kSlice);
  }
  return path;
}

std::optional<std::string> UidOfCgroupfs(std::string_view directory) {
  if (!directory.starts_with(kPod)) return std::nullopt;
  directory.remove_prefix(kPod.size());
  return IsUid(directory) ? std::optional(std::string(directory)) : std::nullopt;
}

std::optional<std::string> UidOfSlice(std::string_view directory, const CgroupName& parent) {
  std::string prefix = SliceName(parent);
  prefix.resize(prefix.size() - kSlice.size());
  prefix.append("-").append(kPod);
  if (!directory.starts_with(prefix) || !directory.ends_with(kSlice)) return std::nullopt;
  std::string uid(directory.substr(prefix.size(), directory.size() - prefix.size() - kSlice.size()));
  if (!IsUid(uid) || uid.find('-') != std::string::npos) return std::nullopt;
  std::replace(uid.begin(), uid.end(), '_', '-');
  return uid;
}

CgroupLimits PodCgroupLimits(const corev1::PodSpec& spec, std::int64_t pids) {
  CgroupLimits limits;
  const ResourceList requests = PodRequests(spec);
  const ResourceList most = PodLimits(spec);
  const QosClass qos = ComputeQos(spec);
  if (pids > 0) limits.pids = pids;
  limits.complete = true;
  for (const auto& [name, amount] : requests) {
    if (!name.starts_with(kHugePagesPrefix)) continue;
    const auto size = Quantity::Parse(std::string_view(name).substr(kHugePagesPrefix.size()));
    const std::string page = size ? PageSizeName(size->Value()) : std::string();
    if (!page.empty()) limits.hugepages[page] = amount.Value();
  }
  if (qos == QosClass::kBestEffort) {
    limits.cpu_shares = kMinShares;
    return limits;
  }
  limits.cpu_shares = SharesOf(MilliCpu(requests));
  const bool guaranteed = qos == QosClass::kGuaranteed;
  const std::int64_t milli_cpu = MilliCpu(most);
  if ((guaranteed || IsLimited(spec, kCpu)) && milli_cpu > 0) {
    constexpr std::int64_t kMinQuota = 1'000;  // the kernel refuses less
    limits.cpu_quota = std::max(milli_cpu * limits.cpu_period / 1000, kMinQuota);
  }
  const std::int64_t memory = Get(most, kMemory, &Quantity::Value);
  if ((guaranteed || IsLimited(spec, kMemory)) && memory > 0) limits.memory = memory;
  return limits;
}

std::int64_t BurstableMilliCpu(const corev1::PodSpec& spec) {
  return ComputeQos(spec) == QosClass::kBurstable ? MilliCpu(PodRequests(spec)) : 0;
}

CgroupLimits LevelLimits(std::int64_t milli_cpu) {
  CgroupLimits limits;
  limits.cpu_shares = SharesOf(milli_cpu);
  return limits;
}

CgroupLimits BestEffortLevelLimits() { return LevelLimits(0); }

CgroupLimits AtLeast(CgroupLimits wanted, const CgroupLimits& present) {
  const auto raise = [](std::optional<std::int64_t>& limit, const std::optional<std::int64_t>& to) {
    limit = limit && to ? std::optional(std::max(*limit, *to)) : std::nullopt;
  };
  raise(wanted.cpu_quota, present.cpu_quota);
  raise(wanted.memory, present.memory);
  return wanted;
}

std::int64_t CpuWeight(std::int64_t shares) {
  if (shares >= kMaxShares) return kMaxWeight;
  return 1 + (std::max(shares, kMinShares) - kMinShares) * (kMaxWeight - 1) / (kMaxShares - kMinShares);
}

SliceProperties SlicePropertiesOf(const CgroupLimits& limits, bool unified) {
  const auto amount = [](const std::optional<std::int64_t>& limit) {
    return limit ? static_cast<std::uint64_t>(*limit) : kInfinity;
  };
  SliceProperties properties;
  if (limits.cpu_shares) {
    const std::int64_t value = unified ? CpuWeight(*limits.cpu_shares) : *limits.cpu_shares;
    properties.emplace_back(unified ? "CPUWeight" : "CPUShares", static_cast<std::uint64_t>(value));
  }
  if (!limits.complete) return properties;
  std::uint64_t quota = kInfinity;
  if (limits.cpu_quota) {
    // systemd counts in hundredths of a CPU; rounded up, so that what containers may have fits in.
    constexpr std::int64_t kHundredth = 10'000;
    const std::int64_t per_second = *limits.cpu_quota * 1'000'000 / limits.cpu_period;
    quota = static_cast<std::uint64_t>((per_second + kHundredth - 1) / kHundredth * kHundredth);
  }
  properties.emplace_back("CPUQuotaPerSecUSec", quota);
  properties.emplace_back(unified ? "MemoryMax" : "MemoryLimit", amount(limits.memory));
  properties.emplace_back("TasksMax", amount(limits.pids));
  return properties;
}

}  // namespace daemonsetd::decide
