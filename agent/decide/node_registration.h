// What to write to the API server's Node object: create it, update its labels, write its status, or nothing. What
// others wrote (labels, annotations, taints, conditions, extended resources, addresses of a cloud) is left alone. Pure.
#pragma once

#include <optional>
#include <string>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// On the Node, written by us: the keys of the labels that we set, joined by commas. A label that left the configuration
// is taken away by it; one that a user set is never in it.
inline constexpr char kManagedLabelsAnnotation[] = "daemonsetd.dev/node-labels";

// A status that did not change is written this often (the kubelet's nodeStatusReportFrequency).
inline constexpr Nanoseconds kNodeStatusReportPeriod = std::chrono::minutes(5);
inline constexpr int kMostNodeImages = 50;

struct RegistrationMemory {
  std::string uid;                         // of the Node that was registered; empty: none was
  std::optional<MonoTime> status_written;  // the last successful write of the status
};

// Objects are whole (PUT with the resourceVersion that was read, unknown fields included): a conflict means that
// somebody else wrote meanwhile, so read and decide anew.
struct NodeWrites {
  std::optional<corev1::Node> create;  // POST, status included; then nothing else is set
  std::optional<corev1::Node> update;  // PUT: labels and annotations
  std::optional<corev1::Node> status;  // PUT of the status subresource
  // The Node has another UID than the one we knew: its Lease and mirror pods need new owners (PL-18).
  bool new_identity = false;
  std::string reason;                  // for the log; empty when there is nothing to write
  std::optional<MonoTime> look_again;  // when the unchanged status is due
};

// `desired`: node::MakeNode's object, conditions and images included. Its taints are applied at creation only: later
// they are the administrator's. `observed`: null when the server has no such Node, which must be known for certain.
// `agent_version` goes into kAgentVersionAnnotation (node_claim.h).
NodeWrites RegisterNode(const corev1::Node& desired, const corev1::Node* observed, const std::string& agent_version,
                        MonoTime now, const RegistrationMemory& memory);

// Whether two statuses differ in more than heartbeats.
bool NodeStatusDiffers(const corev1::NodeStatus& a, const corev1::NodeStatus& b);

}  // namespace daemonsetd::decide
