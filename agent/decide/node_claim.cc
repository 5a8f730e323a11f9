#include "agent/decide/node_claim.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"

namespace daemonsetd::decide {
namespace {

// Half of what a kubelet (10 s) and an agent (20 s) let pass between two renewals.
constexpr Nanoseconds kLookEvery = std::chrono::seconds(5);

bool MadeByUs(const corev1::Node& node) { return node.metadata().annotations().contains(kAgentVersionAnnotation); }

std::string Holder(const corev1::Node* node, const coordinationv1::Lease* lease) {
  const std::string identity = lease != nullptr ? lease->spec().holderidentity() : std::string();
  const std::string held = identity.empty() ? "" : fmt::format(", Lease holder {}", identity);
  if (node == nullptr) return identity.empty() ? "somebody" : "the holder of its Lease, " + identity;
  const corev1::NodeSystemInfo& info = node->status().nodeinfo();
  if (MadeByUs(*node)) {
    return fmt::format("a daemonsetd {} on the machine {}{}",
                       ValueOf(node->metadata().annotations(), kAgentVersionAnnotation), info.machineid(), held);
  }
  return fmt::format("a kubelet {}{}", info.kubeletversion().empty() ? "of unknown version" : info.kubeletversion(),
                     held);
}

std::string Advice(const corev1::Node* node, const std::string& machine_id) {
  if (node != nullptr && MadeByUs(*node) && node->status().nodeinfo().machineid() != machine_id) {
    return "give this machine another nodeName in the configuration";
  }
  return "stop it and disable its service, or give this machine another nodeName in the configuration";
}

}  // namespace

NodeClaim ClaimNode(const corev1::Node* node, const coordinationv1::Lease* lease, const std::string& node_name,
                    const std::string& holder, const std::string& machine_id, Now now, ClaimMemory& memory) {
  NodeClaim claim;
  const bool lease_is_ours = lease != nullptr && lease->spec().holderidentity() == holder;
  // Without a holder the Node alone tells: one that we made on this machine is ours, whatever became of its Lease.
  const bool no_holder = lease == nullptr || lease->spec().holderidentity().empty();
  const bool node_is_ours = node == nullptr || (MadeByUs(*node) && node->status().nodeinfo().machineid() == machine_id);
  if (lease_is_ours || (no_holder && node_is_ours)) {
    claim.answer = NodeClaim::Answer::kOurs;
    return claim;
  }

  const std::string renewal = RenewalText(lease);
  if (!memory.first_look) {
    memory.first_look = now.mono;
    memory.unchanged_since = now.mono;
  } else if (renewal != memory.last_renewal) {
    memory.unchanged_since = now.mono;
    memory.renewed_by_other = true;
  }
  memory.last_renewal = renewal;

  const Seconds duration = LeaseDurationOf(lease);
  if (now.mono - memory.unchanged_since >= duration) {
    claim.answer = NodeClaim::Answer::kTakeOver;
    claim.message = fmt::format("takes over the Node {} from {}, which has not renewed its Lease for {} s", node_name,
                                Holder(node, lease), duration.count());
    return claim;
  }
  claim.look_again = std::min(now.mono + kLookEvery, memory.unchanged_since + duration);
  const bool fresh = lease != nullptr && lease->spec().has_renewtime() &&
                     FromApiMicroTime(lease->spec().renewtime()) + duration > now.wall;
  if (!fresh && !memory.renewed_by_other) {
    claim.answer = NodeClaim::Answer::kWatch;
    claim.message = fmt::format("waits until it is sure that {} has left the Node {}", Holder(node, lease), node_name);
    return claim;
  }
  claim.message =
      fmt::format("the Node {} is held by {}; {}", node_name, Holder(node, lease), Advice(node, machine_id));
  return claim;
}

}  // namespace daemonsetd::decide
