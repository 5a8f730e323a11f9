// Who an agent is to the API server: the names in its client certificate (design.md section 11). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace daemonsetd::decide {

inline constexpr std::string_view kNodesGroup = "daemonsetd:nodes";
inline constexpr std::string_view kCoordinatorsGroup = "daemonsetd:coordinators";
// Of bootstrap tokens: may ask for the certificate of a node, and for one that may coordinate.
inline constexpr std::string_view kBootstrapGroup = "system:bootstrappers:daemonsetd";
inline constexpr std::string_view kBootstrapCoordinatorsGroup = "system:bootstrappers:daemonsetd:coordinators";

inline constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";
inline constexpr std::string_view kClientUsages[] = {"client auth", "digital signature"};

// "daemonsetd:node:edge-17".
std::string UserOfNode(std::string_view node_name);
// "edge-17" out of it; empty for every other user, also for one whose rest is not the name of a node.
std::string NodeOfUser(std::string_view user);
std::vector<std::string> GroupsOfNode(bool coordinates);

}  // namespace daemonsetd::decide
