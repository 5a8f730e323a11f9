#include "agent/decide/node_registration.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "agent/decide/canonical.h"
#include "agent/decide/conditions.h"
#include "agent/decide/labels.h"
#include "agent/decide/node_claim.h"

namespace daemonsetd::decide {
namespace {

using Map = google::protobuf::Map<std::string, std::string>;

std::set<std::string> SplitKeys(std::string_view text) {
  std::set<std::string> keys;
  while (!text.empty()) {
    const std::string_view key = text.substr(0, text.find(','));
    if (!key.empty()) keys.emplace(key);
    text.remove_prefix(std::min(text.size(), key.size() + 1));
  }
  return keys;
}

std::string JoinKeys(const Map& labels) {
  std::set<std::string> keys;
  for (const auto& [key, value] : labels) keys.insert(key);
  return fmt::format("{}", fmt::join(keys, ","));
}

void Put(const std::string& key, const std::string& value, Map& map, std::vector<std::string>& changes) {
  const auto old = map.find(key);
  if (old != map.end() && old->second == value) return;
  map[key] = value;
  changes.push_back(key);
}

// Names what changed.
std::vector<std::string> MergeMetadata(const corev1::Node& desired, const std::string& agent_version,
                                       metav1::ObjectMeta& metadata) {
  std::vector<std::string> changes;
  Map& labels = *metadata.mutable_labels();
  for (const std::string& key : SplitKeys(ValueOf(metadata.annotations(), kManagedLabelsAnnotation))) {
    if (!desired.metadata().labels().contains(key) && labels.erase(key) > 0) changes.push_back(key);
  }
  for (const auto& [key, value] : desired.metadata().labels()) Put(key, value, labels, changes);
  Map& annotations = *metadata.mutable_annotations();
  for (const auto& [key, value] : desired.metadata().annotations()) Put(key, value, annotations, changes);
  Put(kManagedLabelsAnnotation, JoinKeys(desired.metadata().labels()), annotations, changes);
  Put(kAgentVersionAnnotation, agent_version, annotations, changes);
  std::sort(changes.begin(), changes.end());
  return changes;
}

// Addresses of the types that we report are ours; a cloud's ExternalIP is not.
void MergeAddresses(const corev1::NodeStatus& desired, corev1::NodeStatus& status) {
  corev1::NodeStatus merged;
  *merged.mutable_addresses() = desired.addresses();
  for (const corev1::NodeAddress& address : status.addresses()) {
    const bool ours = std::any_of(desired.addresses().begin(), desired.addresses().end(),
                                  [&](const auto& other) { return other.type() == address.type(); });
    if (!ours) *merged.add_addresses() = address;
  }
  status.mutable_addresses()->Swap(merged.mutable_addresses());
}

void MergeStatus(const corev1::NodeStatus& desired, corev1::NodeStatus& status) {
  for (const auto& [name, amount] : desired.capacity()) (*status.mutable_capacity())[name] = amount;
  for (const auto& [name, amount] : desired.allocatable()) (*status.mutable_allocatable())[name] = amount;
  MergeConditions(desired, status);
  MergeAddresses(desired, status);
  *status.mutable_nodeinfo() = desired.nodeinfo();
  *status.mutable_images() = desired.images();
  while (status.images_size() > kMostNodeImages) status.mutable_images()->RemoveLast();
  if (desired.has_daemonendpoints()) *status.mutable_daemonendpoints() = desired.daemonendpoints();
  if (desired.runtimehandlers_size() > 0) *status.mutable_runtimehandlers() = desired.runtimehandlers();
  if (desired.has_features()) *status.mutable_features() = desired.features();
}

corev1::NodeStatus WithoutHeartbeats(const corev1::NodeStatus& status) {
  corev1::NodeStatus bare = status;
  for (corev1::NodeCondition& condition : *bare.mutable_conditions()) condition.clear_lastheartbeattime();
  return bare;
}

}  // namespace

bool NodeStatusDiffers(const corev1::NodeStatus& a, const corev1::NodeStatus& b) {
  return CanonicalText(WithoutHeartbeats(a)) != CanonicalText(WithoutHeartbeats(b));
}

NodeWrites RegisterNode(const corev1::Node& desired, const corev1::Node* observed, const std::string& agent_version,
                        MonoTime now, const RegistrationMemory& memory) {
  NodeWrites writes;
  if (observed == nullptr) {
    corev1::Node node = desired;
    node.mutable_metadata()->clear_uid();  // the server's to give
    MergeMetadata(desired, agent_version, *node.mutable_metadata());
    node.clear_status();
    MergeStatus(desired.status(), *node.mutable_status());
    writes.create = std::move(node);
    writes.new_identity = !memory.uid.empty();
    writes.reason = memory.uid.empty() ? "the server has no such Node" : "somebody deleted the Node; it is made anew";
    return writes;
  }

  writes.new_identity = !memory.uid.empty() && memory.uid != observed->metadata().uid();
  corev1::Node update = *observed;
  const std::vector<std::string> changes = MergeMetadata(desired, agent_version, *update.mutable_metadata());
  if (!changes.empty()) {
    writes.update = std::move(update);
    writes.reason = fmt::format("labels or annotations differ: {}", fmt::join(changes, ", "));
  }

  corev1::Node status = *observed;
  MergeStatus(desired.status(), *status.mutable_status());
  const bool differs = NodeStatusDiffers(status.status(), observed->status());
  const bool due = !memory.status_written || now - *memory.status_written >= kNodeStatusReportPeriod;
  if (differs || due || writes.new_identity) {
    writes.status = std::move(status);
    if (!writes.reason.empty()) writes.reason += "; ";
    writes.reason += differs ? "the status differs" : "the status is due";
  } else {
    writes.look_again = *memory.status_written + kNodeStatusReportPeriod;
  }
  return writes;
}

}  // namespace daemonsetd::decide
