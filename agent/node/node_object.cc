#include "agent/node/node_object.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/digest.h"
#include "agent/model/quantity.h"

namespace daemonsetd::node {
namespace {

using Resources = google::protobuf::Map<std::string, resourcev1::Quantity>;
using model::Quantity;

Quantity Bytes(std::uint64_t bytes) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return Quantity::FromBytes(static_cast<std::int64_t>(std::min(bytes, kMost)));
}

// Storage is counted in decimal units.
Quantity StorageBytes(std::uint64_t bytes) {
  return *Quantity::Parse(std::to_string(bytes));  // digits always parse
}

// "hugepages-2Mi", "hugepages-1Gi", as upstream names them.
std::string HugePageResource(std::uint64_t size_kib) { return "hugepages-" + Bytes(size_kib * 1024).Canonical(); }

void Subtract(Resources& from, const std::string& name, const Quantity& amount) {
  const auto entry = from.find(name);
  if (entry == from.end()) return;
  Quantity left = Quantity::From(entry->second);
  left -= amount;
  entry->second = left.Sign() < 0 ? Quantity().ToMessage() : left.ToMessage();
}

Resources Capacity(const MachineFacts& facts, std::int32_t max_pods) {
  Resources capacity;
  capacity["cpu"] = Quantity::FromMilli(std::int64_t{facts.cpus} * 1000).ToMessage();
  capacity["memory"] = Bytes(facts.memory_bytes).ToMessage();
  capacity["pods"] = Quantity::FromMilli(std::int64_t{max_pods} * 1000).ToMessage();
  if (facts.ephemeral_storage_bytes > 0) {
    capacity["ephemeral-storage"] = StorageBytes(facts.ephemeral_storage_bytes).ToMessage();
  }
  for (const auto& [size_kib, pages] : facts.huge_pages) {
    capacity[HugePageResource(size_kib)] = Bytes(size_kib * 1024 * pages).ToMessage();
  }
  return capacity;
}

void FillLabels(const config::v1alpha1::DaemonsetdConfiguration& configuration, const MachineFacts& facts,
                google::protobuf::Map<std::string, std::string>& labels) {
  labels["kubernetes.io/hostname"] = configuration.nodename();
  for (const char* prefix : {"kubernetes.io/", "beta.kubernetes.io/"}) {
    labels[prefix + std::string("os")] = "linux";
    labels[prefix + std::string("arch")] = facts.architecture;
  }
  for (const auto& [key, value] : configuration.nodelabels()) labels[key] = value;
}

void FillResources(const config::v1alpha1::DaemonsetdConfiguration& configuration, const MachineFacts& facts,
                   corev1::NodeStatus& status) {
  *status.mutable_capacity() = Capacity(facts, configuration.maxpods());
  Resources& allocatable = *status.mutable_allocatable();
  allocatable = status.capacity();
  for (const auto* reserved : {&configuration.systemreserved(), &configuration.kubereserved()}) {
    for (const auto& [name, amount] : *reserved) Subtract(allocatable, name, Quantity::From(amount));
  }
  for (const auto& [size_kib, pages] : facts.huge_pages) {
    Subtract(allocatable, "memory", Bytes(size_kib * 1024 * pages));  // huge pages come out of the memory
  }
  for (const auto& [name, amount] : configuration.nodeallocatable()) {
    allocatable[name] = Quantity::From(amount).ToMessage();
    if (!status.capacity().contains(name)) (*status.mutable_capacity())[name] = allocatable[name];
  }
}

void FillAddresses(const config::v1alpha1::DaemonsetdConfiguration& configuration, const MachineFacts& facts,
                   corev1::NodeStatus& status) {
  const auto add = [&](std::string_view type, const std::string& address) {
    corev1::NodeAddress& entry = *status.add_addresses();
    entry.set_type(std::string(type));
    entry.set_address(address);
  };
  if (configuration.nodeips_size() > 0) {
    for (const std::string& address : configuration.nodeips()) add("InternalIP", address);
  } else {
    for (const std::string& address : facts.addresses) add("InternalIP", address);
  }
  add("Hostname", configuration.nodename());
}

void FillRuntime(const cri::RuntimeFeatures& features, corev1::NodeStatus& status) {
  for (const auto& [name, handler] : features.handlers) {
    corev1::NodeRuntimeHandler& entry = *status.add_runtimehandlers();
    entry.set_name(name);
    entry.mutable_features()->set_recursivereadonlymounts(handler.recursive_read_only);
    entry.mutable_features()->set_usernamespaces(handler.user_namespaces);
  }
  // A runtime that lists no handlers does not tell its features either.
  if (features.handlers.empty()) return;
  status.mutable_features()->set_supplementalgroupspolicy(features.supplemental_groups_policy);
}

}  // namespace

corev1::Node MakeNode(const config::v1alpha1::DaemonsetdConfiguration& configuration, const MachineFacts& facts,
                      const NodeReport& report) {
  corev1::Node node;
  metav1::ObjectMeta& meta = *node.mutable_metadata();
  meta.set_name(configuration.nodename());
  meta.set_uid(DerivedUid("Node/" + configuration.nodename()));
  FillLabels(configuration, facts, *meta.mutable_labels());
  for (const corev1::Taint& taint : configuration.nodetaints()) *node.mutable_spec()->add_taints() = taint;
  FillResources(configuration, facts, *node.mutable_status());
  FillAddresses(configuration, facts, *node.mutable_status());
  FillRuntime(report.runtime_features, *node.mutable_status());
  for (const corev1::NodeCondition& condition : report.conditions) *node.mutable_status()->add_conditions() = condition;

  corev1::NodeSystemInfo& info = *node.mutable_status()->mutable_nodeinfo();
  info.set_machineid(facts.machine_id);
  info.set_systemuuid(facts.system_uuid);
  info.set_bootid(facts.boot_id);
  info.set_kernelversion(facts.kernel_version);
  info.set_osimage(facts.os_image);
  info.set_containerruntimeversion(report.container_runtime_version);
  info.set_kubeletversion(report.agent_version);
  info.set_runninginusernamespace(facts.in_user_namespace);
  info.set_operatingsystem("linux");
  info.set_architecture(facts.architecture);
  return node;
}

}  // namespace daemonsetd::node
