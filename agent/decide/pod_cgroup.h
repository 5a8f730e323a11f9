// The control groups of pods, laid out as a kubelet does (pkg/kubelet/cm). Agents of security, metrics and scheduling
// read these paths, so the layout is a contract:
//
//   <root>/kubepods/pod<UID>                 Guaranteed
//   <root>/kubepods/burstable/pod<UID>       Burstable
//   <root>/kubepods/besteffort/pod<UID>      BestEffort
//
// and where systemd makes them, kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<UID>.slice, the UID with
// '_' for '-'. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/decide/resources.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// A group by the names from the hierarchy's root down to it, whoever makes it.
using CgroupName = std::vector<std::string>;

// Of a path ("/edge/node-a") or that of a slice.
CgroupName CgroupOf(std::string_view path);
// Below `root`, which is the configuration's cgroupRoot: a path, or that of a slice ("/edge.slice/edge-a.slice").
CgroupName KubepodsCgroup(std::string_view root);
// Guaranteed pods lie in kubepods itself.
CgroupName QosCgroup(std::string_view root, QosClass qos);
CgroupName PodCgroup(std::string_view root, QosClass qos, const std::string& uid);
// Wherever a pod with this UID may have its group: its class may be unknown, or another than it was.
std::vector<CgroupName> PodCgroups(std::string_view root, const std::string& uid);

// "/edge/kubepods/burstable/pod1-2", from the hierarchy's root.
std::string CgroupfsPath(const CgroupName& name);
// "edge-kubepods-burstable-pod1_2.slice".
std::string SliceName(const CgroupName& name);
// "/edge.slice/edge-kubepods.slice/…", from the hierarchy's root.
std::string SlicePath(const CgroupName& name);

// The UID in the name of a directory that a pod's group may have; unset: it is none. `parent`: QosCgroup's.
std::optional<std::string> UidOfCgroupfs(std::string_view directory);
std::optional<std::string> UidOfSlice(std::string_view directory, const CgroupName& parent);

// Unset: no limit.
struct CgroupLimits {
  std::optional<std::int64_t> cpu_shares;  // cgroup v1's; unset: the kernel's default stays
  std::optional<std::int64_t> cpu_quota;   // microseconds per `cpu_period`
  std::int64_t cpu_period = 100'000;
  std::optional<std::int64_t> memory;  // bytes
  std::optional<std::int64_t> pids;
  // By page size as the kernel writes it ("2MB"): what pods ask for. Other sizes are not to be had.
  std::map<std::string, std::int64_t> hugepages;
  // False: only the shares are said, everything else stays as whoever set it.
  bool complete = false;

  bool operator==(const CgroupLimits&) const = default;
};

// The kubelet's ResourceConfigForPod: shares by what the pod requests; a limit of CPU or memory only where every
// container has one, or the pod as a whole. `pids`: podPidsLimit, not positive for none.
CgroupLimits PodCgroupLimits(const corev1::PodSpec& spec, std::int64_t pids);

// What its CPU request adds to the shares of all burstable pods together; zero for pods of other classes.
std::int64_t BurstableMilliCpu(const corev1::PodSpec& spec);
// Of kubepods (by the node's allocatable CPU) and of the classes in it.
CgroupLimits LevelLimits(std::int64_t milli_cpu);
CgroupLimits BestEffortLevelLimits();

// What to set before containers get more, while others have as much as `present` still allows: CPU quota and memory of
// a group must never be less than those of a group in it.
CgroupLimits AtLeast(CgroupLimits wanted, const CgroupLimits& present);

// cgroup v2's cpu.weight for shares: KEP-2254's 1 + (shares - 2) * 9999 / 262142, as kubelets up to 1.34 and runc up to
// 1.3 have it. A pod's weight counts among its siblings alone, which all have theirs by this formula.
std::int64_t CpuWeight(std::int64_t shares);

// systemd's properties of a slice with these limits, by their names on the bus. `unified`: cgroup v2.
using SliceProperties = std::vector<std::pair<std::string, std::uint64_t>>;
SliceProperties SlicePropertiesOf(const CgroupLimits& limits, bool unified);

}  // namespace daemonsetd::decide
