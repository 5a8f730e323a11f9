#include "agent/pods/hosts_file.h"

#include <cstddef>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kMaxNodeHosts = 1024 * 1024;

std::string Aliases(const corev1::PodSpec& spec) {
  if (spec.hostaliases_size() == 0) return "";
  std::string text = "\n# Entries added by HostAliases.\n";
  for (const corev1::HostAlias& alias : spec.hostaliases()) {
    text += fmt::format("{}\t{}\n", alias.ip(), fmt::join(alias.hostnames(), "\t"));
  }
  return text;
}

}  // namespace

std::string ManagedHostsFile(const corev1::PodSpec& spec, const std::vector<std::string>& pod_ips,
                             const std::string& hostname, const std::string& domain) {
  std::string text =
      "# Kubernetes-managed hosts file.\n"
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "fe00::0\tip6-mcastprefix\n"
      "fe00::1\tip6-allnodes\n"
      "fe00::2\tip6-allrouters\n";
  for (const std::string& ip : pod_ips) {
    text += domain.empty() ? fmt::format("{}\t{}\n", ip, hostname)
                           : fmt::format("{}\t{}.{}\t{}\n", ip, hostname, domain, hostname);
  }
  return text + Aliases(spec);
}

std::string NodeHostsFile(const corev1::PodSpec& spec, std::string_view node_hosts_file) {
  return fmt::format("# Kubernetes-managed hosts file (host network).\n{}{}", node_hosts_file, Aliases(spec));
}

Status WriteHostsFile(const corev1::Pod& pod, const std::string& path, const std::vector<std::string>& pod_ips,
                      const std::string& hostname, const std::string& domain, const std::string& node_hosts) {
  constexpr mode_t kMode = 0644;
  if (!pod.spec().hostnetwork()) {
    return WriteFileAtomically(path, ManagedHostsFile(pod.spec(), pod_ips, hostname, domain), kMode);
  }
  const Result<std::string> node_file = ReadSmallFile(node_hosts, kMaxNodeHosts);
  if (!node_file) return node_file.error().WithContext("copying the node's hosts file");
  return WriteFileAtomically(path, NodeHostsFile(pod.spec(), *node_file), kMode);
}

}  // namespace daemonsetd::pods
