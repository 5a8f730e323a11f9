// The /etc/hosts that containers see (pkg/kubelet/kubelet_pods.go, managedHostsFileContent and nodeHostsFileContent).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// For a pod with a network of its own. `hostname`: inside the pod; `domain`: subdomain.namespace.svc.cluster or empty.
std::string ManagedHostsFile(const corev1::PodSpec& spec, const std::vector<std::string>& pod_ips,
                             const std::string& hostname, const std::string& domain);
// For a pod on the host network: the node's file and the pod's aliases.
std::string NodeHostsFile(const corev1::PodSpec& spec, std::string_view node_hosts_file);

// Writes the file into the pod's directory. Blocks. `node_hosts`: the node's own file, read on the host network only.
Status WriteHostsFile(const corev1::Pod& pod, const std::string& path, const std::vector<std::string>& pod_ips,
                      const std::string& hostname, const std::string& domain,
                      const std::string& node_hosts = "/etc/hosts");

}  // namespace daemonsetd::pods
