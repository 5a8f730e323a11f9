// Short ways to say the objects of a cluster that a coordinator sees.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/node_lease.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::rollout {

// Written as YAML; throws when it cannot be read.
void ReadYaml(std::string_view text, google::protobuf::Message& message);
template <class T>
T FromYaml(std::string_view text) {
  T message;
  ReadYaml(text, message);
  return message;
}

// Ready since long ago, and with these images.
corev1::Node MakeNode(const std::string& name, const std::vector<std::string>& images = {});
// "True", "False" or "Unknown" since `since`; empty: no such condition.
void SetReady(corev1::Node& node, const std::string& status, WallTime since);

// RollingUpdate of "default/NAME" with this image, generation 1, defaulted as the server does. `strategy`: the value of
// rollingUpdate.
appsv1::DaemonSet MakeSet(const std::string& name, const std::string& image = "log:1",
                          const std::string& strategy = "{maxUnavailable: 1}");
// As kubectl does: another image is another generation.
void SetImage(appsv1::DaemonSet& set, const std::string& image);

// What this DaemonSet makes on the node, "NAME-NODE-SEQUENCE". It runs and is not ready.
corev1::Pod MakePod(const appsv1::DaemonSet& set, const std::string& node, int sequence = 1);
// `since` is what the node's clock says.
void SetReady(corev1::Pod& pod, bool ready, WallTime since);

// kube-node-lease/NODE, renewed at this moment.
coordinationv1::Lease MakeNodeLease(const std::string& node, WallTime renewed);

// Empty when there is none.
std::string ReasonOf(const appsv1::DaemonSet& set, std::string_view condition);

}  // namespace daemonsetd::rollout
