// Pods as CRI sees them. Pure: no I/O, no clock; everything that is not in the pod comes in through the inputs.
// Rules: pkg/kubelet/kuberuntime (sandbox, container, security context, labels), pkg/securitycontext.
//
// Two names are given back on purpose as containerd wants them, not as the pod says: a pod on the host network gets no
// hostname of its own (it shares the node's UTS namespace, and runc refuses to set one there), and `dns_config` is the
// caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "cri.pb.h"
#include "cri/runtime_features.h"

namespace daemonsetd::cri {

// IDs of the node from `host_id` on, which are 0 and following in a pod's user namespace.
struct IdRange {
  std::uint32_t host_id = 0;
  std::uint32_t length = 0;
};

// What the node decides about a sandbox.
struct SandboxInputs {
  std::uint32_t attempt = 0;
  std::string log_directory;  // absolute; containers' log paths are relative to it
  ::runtime::v1::DNSConfig dns_config;
  std::string cluster_domain;    // for setHostnameAsFQDN; may be empty
  std::string cgroup_parent;     // empty: the runtime's default
  std::int64_t node_memory = 0;  // bytes
  std::string config_source;     // "file", "api"; empty: no annotation
  std::string config_seen;       // RFC 3339; empty: no annotation
  std::string config_hash;       // empty: no annotation
  RuntimeFeatures features;
  std::string runtime_handler;            // of the pod's RuntimeClass; "" without one
  std::optional<IdRange> user_namespace;  // with hostUsers: false
};

// What the steps before creation found out about a container. Command and args are already expanded.
struct ContainerInputs {
  std::string image_ref;  // what PullImage or ImageStatus answered
  // The image's own user, as ImageStatus tells it. CRI wants a user wherever it gets a group.
  std::optional<std::int64_t> image_uid;
  std::string image_username;
  struct Env {
    std::string name;
    std::string value;
  };
  std::vector<Env> envs;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::vector<::runtime::v1::Mount> mounts;
  std::string log_path;              // relative to the sandbox's log_directory
  bool oom_kills_container = false;  // cgroup v2: memory.oom.group
  std::int64_t node_memory = 0;      // bytes
  // Page sizes that the node offers, in bytes: those that the container does not ask for are limited to 0.
  std::vector<std::int64_t> huge_page_sizes;
  std::string seccomp_root = "/var/lib/kubelet/seccomp";  // where Localhost profiles are
  std::optional<IdRange> user_namespace;                  // the sandbox's
  bool seccomp_default = false;  // RuntimeDefault instead of Unconfined where the pod says nothing
};

// The names inside the pod (pkg/kubelet/kubelet_pods.go, GeneratePodHostNameAndDomain). Short: hostnameOverride, or
// spec.hostname or the pod's name cut to 63 characters. Domain: "subdomain.namespace.svc.cluster.local", empty without
// a subdomain and with hostnameOverride, which is the whole name. The hosts file has both, also where the kernel's
// hostname is the short one.
std::string ShortHostname(const corev1::Pod& pod);
std::string PodDomain(const corev1::Pod& pod, const std::string& cluster_domain);

// The kernel's hostname inside the pod: the short one, with its domain when setHostnameAsFQDN says so. Empty on the
// host network: such a pod has the node's.
std::string PodHostname(const corev1::Pod& pod, const std::string& cluster_domain);

// Refuses what would otherwise be lost without a word: what CheckFeatures refuses; an FQDN hostname longer than the
// kernel's 64 characters, a Localhost profile that leaves its directory (kInvalid).
Status CheckSupported(const corev1::Pod& pod, const SandboxInputs& inputs);

// Who owns the pod is not written here: pods/pod_identity.h adds those annotations and reads them again.
::runtime::v1::PodSandboxConfig ToSandboxConfig(const corev1::Pod& pod, const SandboxInputs& inputs);

// `container` is one of the pod's containers or init containers.
::runtime::v1::ContainerConfig ToContainerConfig(const corev1::Pod& pod, const corev1::Container& container,
                                                 std::uint32_t attempt, const ContainerInputs& inputs);

// What UpdateContainerResources is told, so that also a limit that is gone is lifted.
::runtime::v1::LinuxContainerResources ToUpdatedResources(const corev1::Pod& pod, const corev1::Container& container,
                                                          std::int64_t node_memory);

// kInvalid when runAsNonRoot is asked for and the container would run as root, or as a user whose number is not known.
// The message names pod and container (reason CreateContainerConfigError).
Status CheckRunAsNonRoot(const corev1::Pod& pod, const corev1::Container& container, const ::runtime::v1::Image& image);

}  // namespace daemonsetd::cri
