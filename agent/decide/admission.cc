#include "agent/decide/admission.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "agent/decide/conditions.h"
#include "agent/decide/critical_pod.h"
#include "agent/decide/placement.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/resources.h"
#include "agent/model/selectors.h"

namespace daemonsetd::decide {
namespace {

using model::Quantity;

constexpr char kMemoryPressureTaint[] = "node.kubernetes.io/memory-pressure";

struct Failure {
  std::string reason;
  std::string message;
};

struct HostPort {
  std::int32_t port;
  std::string protocol;
  std::string ip;
};

// A pod never competes with itself, nor with one that has ended.
bool Competes(const corev1::Pod& other, const corev1::Pod& pod) {
  const bool is_itself = !pod.metadata().uid().empty() && other.metadata().uid() == pod.metadata().uid();
  return !is_itself && !IsTerminal(other);
}

// A node that reports no allocatable offers its capacity, as API defaulting has it.
ResourceList AllocatableOf(const corev1::Node& node) {
  const auto& reported = node.status().allocatable().empty() ? node.status().capacity() : node.status().allocatable();
  ResourceList allocatable;
  for (const auto& [name, quantity] : reported) allocatable.emplace(name, Quantity::From(quantity));
  return allocatable;
}

// The node always has these; a report without them is unfinished and says nothing against the pod.
bool IsNative(std::string_view name) { return name == kCpu || name == kMemory || name == kEphemeralStorage; }

// The order of upstream's own check, so that the first failure gives the reason that people know.
int Rank(std::string_view name) {
  if (name == kCpu) return 0;
  if (name == kMemory) return 1;
  if (name == kEphemeralStorage) return 2;
  return 3;
}

void CheckPodCount(const ResourceList& allocatable, std::size_t running, std::vector<Failure>& failures) {
  const auto limit = allocatable.find(kPods);
  if (limit == allocatable.end()) return;
  const std::int64_t most = limit->second.Value();
  if (static_cast<std::int64_t>(running) < most) return;
  failures.push_back({"OutOfpods", fmt::format("needs 1 of the node's {} pod slots, {} are taken", most, running)});
}

void CheckResources(const ResourceList& allocatable, const ResourceList& needed, const ResourceList& used,
                    std::vector<Failure>& failures) {
  std::vector<std::string> names;
  for (const auto& [name, quantity] : needed) {
    if (quantity.Sign() > 0) names.push_back(name);
  }
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) { return Rank(a) != Rank(b) ? Rank(a) < Rank(b) : a < b; });

  for (const std::string& name : names) {
    const auto total = allocatable.find(name);
    if (total == allocatable.end() && (IsNative(name) || allocatable.empty())) continue;
    const Quantity offered = total == allocatable.end() ? Quantity() : total->second;
    Quantity free = offered;
    if (const auto taken = used.find(name); taken != used.end()) free -= taken->second;
    if (free.Sign() < 0) free = Quantity();
    const Quantity& need = needed.at(name);
    if (need.Compare(free) <= 0) continue;
    failures.push_back({"OutOf" + name, fmt::format("needs {} {}, free {} of {}", name, need.Canonical(),
                                                    free.Canonical(), offered.Canonical())});
  }
}

void AddHostPorts(const corev1::Container& container, bool host_network, std::vector<HostPort>& ports) {
  for (const corev1::ContainerPort& port : container.ports()) {
    const std::int32_t number = port.hostport() == 0 && host_network ? port.containerport() : port.hostport();
    if (number <= 0) continue;
    ports.push_back({number, port.protocol().empty() ? "TCP" : port.protocol(), port.hostip()});
  }
}

// Those of containers and sidecars: an init container that ends holds no port while the pod runs.
std::vector<HostPort> HostPortsOf(const corev1::PodSpec& spec) {
  std::vector<HostPort> ports;
  for (const corev1::Container& container : spec.containers()) AddHostPorts(container, spec.hostnetwork(), ports);
  for (const corev1::Container& container : spec.initcontainers()) {
    if (IsSidecar(container)) AddHostPorts(container, spec.hostnetwork(), ports);
  }
  return ports;
}

bool IsAnyAddress(std::string_view ip) { return ip.empty() || ip == "0.0.0.0" || ip == "::"; }

bool Conflict(const HostPort& a, const HostPort& b) {
  return a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || IsAnyAddress(a.ip) || IsAnyAddress(b.ip));
}

std::string Describe(const HostPort& port) {
  const std::string number = fmt::format("{}/{}", port.port, port.protocol);
  if (IsAnyAddress(port.ip)) return number;
  const bool is_v6 = port.ip.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", port.ip, number) : fmt::format("{}:{}", port.ip, number);
}

void CheckHostPorts(const corev1::Pod& pod, const std::vector<const corev1::Pod*>& rivals,
                    std::vector<Failure>& failures) {
  const std::vector<HostPort> wanted = HostPortsOf(pod.spec());
  if (wanted.empty()) return;
  for (const corev1::Pod* rival : rivals) {
    for (const HostPort& taken : HostPortsOf(rival->spec())) {
      for (const HostPort& port : wanted) {
        if (!Conflict(port, taken)) continue;
        failures.push_back({"NodePorts", fmt::format("host port {} is taken by {}/{}", Describe(port),
                                                     rival->metadata().namespace_(), rival->metadata().name())});
      }
    }
  }
}

// The pod's own node selector and affinity: an admission plugin may have added to those of the template that the node
// was chosen by (PL-13), and where others bind pods it may be a mistake. Taints are the business of whoever placed it.
std::string WhyNotThisNode(const corev1::Pod& pod, const corev1::Node& node) {
  if (pod.spec().nodeselector().empty() && !pod.spec().affinity().has_nodeaffinity()) return {};
  corev1::PodSpec selecting;
  *selecting.mutable_nodeselector() = pod.spec().nodeselector();
  *selecting.mutable_affinity()->mutable_nodeaffinity() = pod.spec().affinity().nodeaffinity();
  selecting.add_tolerations()->set_operator_("Exists");
  return Place(selecting, node).reason;
}

bool HasCondition(const corev1::Node& node, std::string_view type) {
  const corev1::NodeCondition* condition = FindCondition(node.status(), type);
  return condition != nullptr && condition->status() == "True";
}

bool ToleratesMemoryPressure(const corev1::PodSpec& spec) {
  corev1::Taint taint;
  taint.set_key(kMemoryPressureTaint);
  taint.set_effect("NoSchedule");
  return std::any_of(spec.tolerations().begin(), spec.tolerations().end(),
                     [&taint](const corev1::Toleration& toleration) { return model::Tolerates(toleration, taint); });
}

// As the kubelet's eviction manager admits (pkg/kubelet/eviction, managerImpl.Admit). Empty: it may start.
std::string WhyNotUnderPressure(const corev1::Pod& pod, const corev1::Node& node, bool is_static) {
  if (IsCriticalPod(pod, is_static)) return {};
  std::vector<std::string> conditions;
  for (const char* type : {"DiskPressure", "PIDPressure"}) {
    if (HasCondition(node, type)) conditions.emplace_back(type);
  }
  const bool spared = ComputeQos(pod.spec()) != QosClass::kBestEffort || ToleratesMemoryPressure(pod.spec());
  if (HasCondition(node, "MemoryPressure") && (!conditions.empty() || !spared)) {
    conditions.insert(conditions.begin(), "MemoryPressure");
  }
  if (conditions.empty()) return {};
  return fmt::format("the node has {}; only critical pods start until that is over", fmt::join(conditions, " and "));
}

}  // namespace

Admission Admit(const corev1::Pod& pod, const corev1::Node& node, const std::vector<const corev1::Pod*>& others,
                bool is_static) {
  if (std::string reason = WhyNotThisNode(pod, node); !reason.empty()) {
    return {.reason = kNodeAffinityReason, .message = std::move(reason)};
  }
  if (std::string reason = WhyNotUnderPressure(pod, node, is_static); !reason.empty()) {
    return {.reason = kNodePressureReason, .message = std::move(reason)};
  }
  std::vector<const corev1::Pod*> rivals;
  ResourceList used;
  for (const corev1::Pod* other : others) {
    if (!Competes(*other, pod)) continue;
    rivals.push_back(other);
    for (const auto& [name, quantity] : PodRequests(other->spec())) used[name] += quantity;
  }

  const ResourceList allocatable = AllocatableOf(node);
  std::vector<Failure> failures;
  CheckPodCount(allocatable, rivals.size(), failures);
  CheckResources(allocatable, PodRequests(pod.spec()), used, failures);
  CheckHostPorts(pod, rivals, failures);

  Admission admission;
  admission.admitted = failures.empty();
  if (!failures.empty()) admission.reason = failures.front().reason;
  for (const Failure& failure : failures) {
    if (!admission.message.empty()) admission.message += "; ";
    admission.message += failure.message;
  }
  return admission;
}

}  // namespace daemonsetd::decide
