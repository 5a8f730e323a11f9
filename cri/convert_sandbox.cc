#include <cstddef>
#include <string_view>

#include <fmt/format.h>

#include "agent/decide/labels.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/resources.h"
#include "cri/cgroups.h"
#include "cri/convert.h"
#include "cri/convert_security.h"

namespace daemonsetd::cri {

namespace v1 = ::runtime::v1;

namespace {

constexpr std::size_t kMaxHostname = 63;
constexpr std::size_t kMaxKernelHostname = 64;

bool HasPrivilegedContainer(const corev1::PodSpec& spec) {
  for (const corev1::Container& container : spec.containers()) {
    if (container.securitycontext().privileged()) return true;
  }
  for (const corev1::Container& container : spec.initcontainers()) {
    if (container.securitycontext().privileged()) return true;
  }
  return false;
}

void AddPortMappings(const corev1::Container& container, v1::PodSandboxConfig& config) {
  for (const corev1::ContainerPort& port : container.ports()) {
    if (port.hostport() <= 0) continue;
    v1::PortMapping& mapping = *config.add_port_mappings();
    mapping.set_container_port(port.containerport());
    mapping.set_host_port(port.hostport());
    mapping.set_host_ip(port.hostip());
    if (port.protocol() == "UDP") {
      mapping.set_protocol(v1::Protocol::UDP);
    } else if (port.protocol() == "SCTP") {
      mapping.set_protocol(v1::Protocol::SCTP);
    }
  }
}

void AddAnnotations(const corev1::Pod& pod, const SandboxInputs& inputs,
                    google::protobuf::Map<std::string, std::string>& annotations) {
  annotations = pod.metadata().annotations();
  const auto set_if_given = [&annotations](const char* key, const std::string& value) {
    if (!value.empty()) annotations[key] = value;
  };
  set_if_given(decide::kConfigSourceAnnotation, inputs.config_source);
  set_if_given(decide::kConfigSeenAnnotation, inputs.config_seen);
  set_if_given(decide::kConfigHashAnnotation, inputs.config_hash);
}

// The cgroup rules for one amount of resources: as if a single container had it.
v1::LinuxContainerResources ToResources(const decide::ResourceList& requests, const decide::ResourceList& limits,
                                        std::int64_t node_memory) {
  corev1::PodSpec spec;
  corev1::Container& container = *spec.add_containers();
  for (const auto& [name, quantity] : requests) {
    (*container.mutable_resources()->mutable_requests())[name] = quantity.ToMessage();
  }
  for (const auto& [name, quantity] : limits) {
    (*container.mutable_resources()->mutable_limits())[name] = quantity.ToMessage();
  }
  const decide::CgroupValues cgroup = decide::ComputeCgroup(spec, container, node_memory);
  v1::LinuxContainerResources resources;
  resources.set_cpu_shares(cgroup.cpu_shares);
  resources.set_memory_limit_in_bytes(cgroup.memory_limit);
  if (cgroup.cpu_quota != 0) {
    resources.set_cpu_quota(cgroup.cpu_quota);
    resources.set_cpu_period(cgroup.cpu_period);
  }
  return resources;
}

// Runtimes that start a virtual machine size it by these two; runc ignores them.
void SetResources(const corev1::PodSpec& spec, std::int64_t node_memory, v1::LinuxPodSandboxConfig& linux) {
  decide::ResourceList requests = decide::PodRequests(spec);
  decide::ResourceList limits = decide::PodLimits(spec);
  decide::ResourceList overhead;
  for (const auto& [name, message] : spec.overhead()) {
    const model::Quantity quantity = model::Quantity::From(message);
    overhead.emplace(name, quantity);
    if (const auto found = requests.find(name); found != requests.end()) found->second -= quantity;
    if (const auto found = limits.find(name); found != limits.end()) found->second -= quantity;
  }
  *linux.mutable_resources() = ToResources(requests, limits, node_memory);
  if (!overhead.empty()) *linux.mutable_overhead() = ToResources(overhead, overhead, node_memory);
}

void SetSecurityContext(const corev1::PodSpec& spec, const std::optional<IdRange>& user_namespace,
                        v1::LinuxSandboxSecurityContext& to) {
  const corev1::PodSecurityContext& from = spec.securitycontext();
  *to.mutable_namespace_options() = ToNamespaceOption(spec, user_namespace);
  to.set_privileged(HasPrivilegedContainer(spec));
  if (from.has_runasuser()) to.mutable_run_as_user()->set_value(from.runasuser());
  // CRI takes no group without a user; the pause image has none of its own that would need one.
  if (from.has_runasuser() && from.has_runasgroup()) to.mutable_run_as_group()->set_value(from.runasgroup());
  if (from.has_selinuxoptions()) *to.mutable_selinux_options() = ToSelinuxOption(from.selinuxoptions());
  SetGroups(from, to);
  // The pause process needs nothing more, whatever the containers have.
  to.mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
}

Status CheckLocalhostProfile(const std::string& profile, const std::string& field) {
  bool leaves = profile.empty() || profile.front() == '/';
  std::string_view rest = profile;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    if (rest.substr(0, slash) == "..") leaves = true;
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  if (!leaves) return Ok();
  return Error(ErrorKind::kInvalid, fmt::format("{}.localhostProfile must be a relative path without \"..\"", field));
}

template <class SecurityContext>
Status CheckProfiles(const SecurityContext& context, const std::string& field) {
  if (context.seccompprofile().type() == "Localhost") {
    DAEMONSETD_RETURN_IF_ERROR(
        CheckLocalhostProfile(context.seccompprofile().localhostprofile(), field + ".seccompProfile"));
  }
  return Ok();
}

}  // namespace

std::string ShortHostname(const corev1::Pod& pod) {
  const corev1::PodSpec& spec = pod.spec();
  if (!spec.hostnameoverride().empty()) return spec.hostnameoverride();
  std::string hostname = spec.hostname().empty() ? pod.metadata().name() : spec.hostname();
  if (hostname.size() > kMaxHostname) {
    hostname.resize(kMaxHostname);
    while (!hostname.empty() && (hostname.back() == '-' || hostname.back() == '.')) hostname.pop_back();
  }
  return hostname;
}

std::string PodDomain(const corev1::Pod& pod, const std::string& cluster_domain) {
  if (pod.spec().subdomain().empty() || !pod.spec().hostnameoverride().empty()) return "";
  const std::string domain = fmt::format("{}.{}.svc", pod.spec().subdomain(), pod.metadata().namespace_());
  return cluster_domain.empty() ? domain : domain + "." + cluster_domain;
}

std::string PodHostname(const corev1::Pod& pod, const std::string& cluster_domain) {
  if (pod.spec().hostnetwork()) return "";
  const std::string domain = PodDomain(pod, cluster_domain);
  const bool full = pod.spec().sethostnameasfqdn() && !domain.empty();
  return full ? ShortHostname(pod) + "." + domain : ShortHostname(pod);
}

Status CheckSupported(const corev1::Pod& pod, const SandboxInputs& inputs) {
  const corev1::PodSpec& spec = pod.spec();
  DAEMONSETD_RETURN_IF_ERROR(CheckFeatures(spec, inputs.runtime_handler, inputs.features));
  if (spec.has_hostusers() && !spec.hostusers() && !inputs.user_namespace) {
    return Error(ErrorKind::kFatal, "spec.hostUsers: false, and the pod was given no IDs");
  }
  const std::string hostname = PodHostname(pod, inputs.cluster_domain);
  if (hostname.size() > kMaxKernelHostname) {
    return Error(ErrorKind::kInvalid, fmt::format("the hostname {} has {} characters and the kernel takes {}; shorten "
                                                  "spec.hostname or spec.subdomain, or unset spec.setHostnameAsFQDN",
                                                  hostname, hostname.size(), kMaxKernelHostname));
  }
  DAEMONSETD_RETURN_IF_ERROR(CheckProfiles(spec.securitycontext(), "spec.securityContext"));
  for (const corev1::Container& container : spec.containers()) {
    DAEMONSETD_RETURN_IF_ERROR(
        CheckProfiles(container.securitycontext(), fmt::format("container {}: securityContext", container.name())));
  }
  for (const corev1::Container& container : spec.initcontainers()) {
    DAEMONSETD_RETURN_IF_ERROR(CheckProfiles(container.securitycontext(),
                                             fmt::format("init container {}: securityContext", container.name())));
  }
  return Ok();
}

v1::PodSandboxConfig ToSandboxConfig(const corev1::Pod& pod, const SandboxInputs& inputs) {
  const corev1::PodSpec& spec = pod.spec();
  v1::PodSandboxConfig config;
  v1::PodSandboxMetadata& metadata = *config.mutable_metadata();
  metadata.set_name(pod.metadata().name());
  metadata.set_namespace_(pod.metadata().namespace_());
  metadata.set_uid(pod.metadata().uid());
  metadata.set_attempt(inputs.attempt);
  config.set_hostname(PodHostname(pod, inputs.cluster_domain));
  config.set_log_directory(inputs.log_directory);
  *config.mutable_dns_config() = inputs.dns_config;

  if (!spec.hostnetwork()) {
    for (const corev1::Container& container : spec.containers()) AddPortMappings(container, config);
    for (const corev1::Container& container : spec.initcontainers()) {
      if (decide::IsSidecar(container)) AddPortMappings(container, config);
    }
  }

  auto& labels = *config.mutable_labels();
  labels = pod.metadata().labels();
  labels[decide::kPodNameLabel] = pod.metadata().name();
  labels[decide::kPodNamespaceLabel] = pod.metadata().namespace_();
  labels[decide::kPodUidLabel] = pod.metadata().uid();
  labels[decide::kManagedByLabel] = "true";
  AddAnnotations(pod, inputs, *config.mutable_annotations());

  v1::LinuxPodSandboxConfig& linux = *config.mutable_linux();
  linux.set_cgroup_parent(CgroupParent(inputs.cgroup_parent, inputs.features.cgroup_driver));
  SetSecurityContext(spec, inputs.user_namespace, *linux.mutable_security_context());
  for (const corev1::Sysctl& sysctl : spec.securitycontext().sysctls()) {
    (*linux.mutable_sysctls())[sysctl.name()] = sysctl.value();
  }
  SetResources(spec, inputs.node_memory, linux);
  return config;
}

}  // namespace daemonsetd::cri
