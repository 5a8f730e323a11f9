// The resolver configuration of a pod, by dnsPolicy and dnsConfig (pkg/kubelet/network/dns/dns.go).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/model/kubernetes.h"
#include "cri.pb.h"

namespace daemonsetd::decide {

// What the node offers.
struct NodeDns {
  ::runtime::v1::DNSConfig host;             // of the node's own resolver file
  std::vector<std::string> cluster_servers;  // empty: ClusterFirst gets the node's own
  std::string cluster_domain;                // "cluster.local"
};

// "nameserver", "search" (the last one counts) and "options" lines; anything else is left out.
::runtime::v1::DNSConfig ParseResolvConf(std::string_view text);

// At most 3 servers, and 32 search domains of 253 characters each and 2048 together: the resolver reads no more.
// Empty when neither the node nor the pod says anything: the runtime then gives the pod the node's file.
::runtime::v1::DNSConfig PodDns(const corev1::Pod& pod, const NodeDns& node);

// What those limits cut off, in the words of the kubelet's Events of reason DNSConfigForming; empty: nothing.
std::vector<std::string> PodDnsWarnings(const corev1::Pod& pod, const NodeDns& node);

}  // namespace daemonsetd::decide
