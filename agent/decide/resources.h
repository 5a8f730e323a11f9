// QoS class, cgroup values, oom_score_adj and effective pod requests
// (pkg/kubelet/{cm,qos}, component-helpers/resource; tests/unit/decide/testdata/resources.jsonl has the reference's
// answers).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "agent/model/kubernetes.h"
#include "agent/model/quantity.h"
#include "cri.pb.h"

namespace daemonsetd::decide {

// Names of resources that a node knows itself (core/v1).
inline constexpr char kCpu[] = "cpu";
inline constexpr char kMemory[] = "memory";
inline constexpr char kEphemeralStorage[] = "ephemeral-storage";
inline constexpr char kPods[] = "pods";

enum class QosClass { kGuaranteed, kBurstable, kBestEffort };
std::string_view ToString(QosClass qos);

// Requests default to limits, as API defaulting does it.
QosClass ComputeQos(const corev1::PodSpec& spec);

struct CgroupValues {
  std::int64_t cpu_shares = 0;
  std::int64_t cpu_quota = 0;  // microseconds per `cpu_period`; 0: no limit
  std::int64_t cpu_period = 100'000;
  std::int64_t memory_limit = 0;  // bytes; 0: no limit
  std::int64_t oom_score_adj = 0;
};
CgroupValues ComputeCgroup(const corev1::PodSpec& spec, const corev1::Container& container,
                           std::int64_t node_memory_bytes);

using ResourceList = std::map<std::string, model::Quantity>;
// max(sum of containers + sidecars, each init container with the sidecars before it) + overhead.
ResourceList PodRequests(const corev1::PodSpec& spec);
ResourceList PodLimits(const corev1::PodSpec& spec);

// What a running container has: as its spec says, corrected by what the runtime says of it, which differs during a
// resize.
corev1::ResourceRequirements ActualResources(const corev1::ResourceRequirements& wanted,
                                             const ::runtime::v1::LinuxContainerResources& runtime);

}  // namespace daemonsetd::decide
