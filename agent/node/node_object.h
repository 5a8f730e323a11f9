// The Node object of this machine. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/model/kubernetes.h"
#include "agent/node/facts.h"
#include "config.pb.h"
#include "cri/runtime_features.h"

namespace daemonsetd::node {

// What changes while the agent runs.
struct NodeReport {
  std::string container_runtime_version;  // "containerd://1.7.24"
  std::string agent_version;              // "v0.1.0"; stands where the kubelet's version stands
  cri::RuntimeFeatures runtime_features;
  std::vector<corev1::NodeCondition> conditions;
};

// `configuration` is valid and complete. Labels: hostname, os and arch (in their old "beta." form too, which a
// controller adds elsewhere), then the configured ones, which win. Allocatable = capacity less what is reserved, never
// below zero, then the configured amounts.
corev1::Node MakeNode(const config::v1alpha1::DaemonsetdConfiguration& configuration, const MachineFacts& facts,
                      const NodeReport& report);

}  // namespace daemonsetd::node
