#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/resources.h"
#include "cri/convert.h"
#include "cri/convert_security.h"

namespace daemonsetd::cri {

namespace v1 = ::runtime::v1;

namespace {

constexpr std::string_view kHugePages = "hugepages-";

// "2MB": the cgroup file's name for a page size (1024-based, whatever the letters say).
std::string PageSizeText(std::int64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && bytes % 1024 == 0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

void SetHugePageLimits(const corev1::Container& container, const ContainerInputs& inputs,
                       v1::LinuxContainerResources& resources) {
  std::map<std::int64_t, std::int64_t> limits;
  for (const std::int64_t size : inputs.huge_page_sizes) limits[size] = 0;
  for (const auto& [name, quantity] : container.resources().limits()) {
    if (std::string_view(name).substr(0, kHugePages.size()) != kHugePages) continue;
    const Result<model::Quantity> size = model::Quantity::Parse(std::string_view(name).substr(kHugePages.size()));
    if (!size || size->Value() <= 0) continue;  // validation refused it
    limits[size->Value()] = model::Quantity::From(quantity).Value();
  }
  for (const auto& [size, limit] : limits) {
    v1::HugepageLimit& hugepage = *resources.add_hugepage_limits();
    hugepage.set_page_size(PageSizeText(size));
    hugepage.set_limit(static_cast<std::uint64_t>(std::max<std::int64_t>(limit, 0)));
  }
}

void SetResources(const corev1::Pod& pod, const corev1::Container& container, const ContainerInputs& inputs,
                  v1::LinuxContainerResources& resources) {
  const decide::CgroupValues cgroup = decide::ComputeCgroup(pod.spec(), container, inputs.node_memory);
  resources.set_cpu_shares(cgroup.cpu_shares);
  resources.set_cpu_period(cgroup.cpu_period);
  resources.set_cpu_quota(cgroup.cpu_quota);
  resources.set_memory_limit_in_bytes(cgroup.memory_limit);
  resources.set_oom_score_adj(cgroup.oom_score_adj);
  if (inputs.oom_kills_container) (*resources.mutable_unified())["memory.oom.group"] = "1";
  SetHugePageLimits(container, inputs, resources);
}

// A JSON array, as the kubelet writes it for cAdvisor and others.
std::string PortsText(const corev1::Container& container) {
  std::string text = "[";
  for (const corev1::ContainerPort& port : container.ports()) {
    // Protobuf's own JSON is Kubernetes' for a message of plain fields like this one.
    std::string object;
    if (!google::protobuf::util::MessageToJsonString(port, &object).ok()) continue;  // not UTF-8: validation refused it
    text += (text.size() > 1 ? "," : "") + object;
  }
  return text + "]";
}

void SetAnnotations(const corev1::Pod& pod, const corev1::Container& container, std::uint32_t attempt,
                    google::protobuf::Map<std::string, std::string>& annotations) {
  annotations[decide::kContainerHashAnnotation] = decide::ContainerSpecHash(container);
  annotations[decide::kSpecHashVersionAnnotation] = fmt::to_string(decide::kSpecHashVersion);
  annotations[decide::kRestartCountAnnotation] = fmt::to_string(attempt);
  annotations[decide::kResourcesAnnotation] = decide::ResourcesText(container);
  annotations[decide::kTerminationMessagePathAnnotation] = container.terminationmessagepath();
  annotations[decide::kTerminationMessagePolicyAnnotation] = container.terminationmessagepolicy();
  if (pod.spec().has_terminationgraceperiodseconds()) {
    annotations[decide::kGracePeriodAnnotation] = fmt::to_string(pod.spec().terminationgraceperiodseconds());
  }
  if (container.ports_size() > 0) annotations[decide::kPortsAnnotation] = PortsText(container);
}

// In a user namespace files keep the owners that they have on the node. An image has no file system on the node yet.
v1::Mount WithMappings(v1::Mount mount, const std::optional<IdRange>& user_namespace) {
  if (user_namespace && !mount.has_image()) {
    *mount.add_uidmappings() = ToIdMapping(*user_namespace);
    *mount.add_gidmappings() = ToIdMapping(*user_namespace);
  }
  return mount;
}

// "SIGTERM" → SIGNAL_SIGTERM; an unset or unknown one leaves the choice to the image.
v1::Signal ToSignal(const std::string& name) {
  v1::Signal signal = v1::Signal::SIGNAL_RUNTIME_DEFAULT;
  if (name.empty() || !v1::Signal_Parse("SIGNAL_" + name, &signal)) return v1::Signal::SIGNAL_RUNTIME_DEFAULT;
  return signal;
}

}  // namespace

v1::ContainerConfig ToContainerConfig(const corev1::Pod& pod, const corev1::Container& container, std::uint32_t attempt,
                                      const ContainerInputs& inputs) {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name(container.name());
  config.mutable_metadata()->set_attempt(attempt);
  config.mutable_image()->set_image(inputs.image_ref);
  config.mutable_image()->set_user_specified_image(container.image());
  for (const std::string& word : inputs.command) config.add_command(word);
  for (const std::string& word : inputs.args) config.add_args(word);
  config.set_working_dir(container.workingdir());
  for (const ContainerInputs::Env& env : inputs.envs) {
    v1::KeyValue& pair = *config.add_envs();
    pair.set_key(env.name);
    pair.set_value(env.value);
  }
  for (const v1::Mount& mount : inputs.mounts) *config.add_mounts() = WithMappings(mount, inputs.user_namespace);

  auto& labels = *config.mutable_labels();
  labels[decide::kPodNameLabel] = pod.metadata().name();
  labels[decide::kPodNamespaceLabel] = pod.metadata().namespace_();
  labels[decide::kPodUidLabel] = pod.metadata().uid();
  labels[decide::kContainerNameLabel] = container.name();
  labels[decide::kManagedByLabel] = "true";
  SetAnnotations(pod, container, attempt, *config.mutable_annotations());

  config.set_log_path(inputs.log_path);
  config.set_stdin(container.stdin());
  config.set_stdin_once(container.stdinonce());
  config.set_tty(container.tty());
  config.set_stop_signal(ToSignal(container.lifecycle().stopsignal()));
  SetResources(pod, container, inputs, *config.mutable_linux()->mutable_resources());
  *config.mutable_linux()->mutable_security_context() = ToContainerSecurityContext(pod, container, inputs);
  return config;
}

v1::LinuxContainerResources ToUpdatedResources(const corev1::Pod& pod, const corev1::Container& container,
                                               std::int64_t node_memory) {
  const decide::CgroupValues cgroup = decide::ComputeCgroup(pod.spec(), container, node_memory);
  v1::LinuxContainerResources resources;
  resources.set_cpu_shares(cgroup.cpu_shares);
  resources.set_cpu_period(cgroup.cpu_period);
  // Zero would leave the old limit where it is.
  resources.set_cpu_quota(cgroup.cpu_quota != 0 ? cgroup.cpu_quota : -1);
  resources.set_memory_limit_in_bytes(cgroup.memory_limit != 0 ? cgroup.memory_limit : -1);
  return resources;
}

Status CheckRunAsNonRoot(const corev1::Pod& pod, const corev1::Container& container, const v1::Image& image) {
  if (!EffectiveRunAsNonRoot(pod.spec(), container)) return Ok();
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("container {} of pod {}/{}: runAsNonRoot is set, and {}", container.name(),
                             pod.metadata().namespace_(), pod.metadata().name(), why));
  };
  if (const auto user = EffectiveRunAsUser(pod.spec(), container)) {
    if (*user == 0) return refuse("runAsUser is 0; set another user");
    return Ok();
  }
  if (image.has_uid()) {
    if (image.uid().value() == 0) return refuse("the image runs as root; set runAsUser");
    return Ok();
  }
  if (!image.username().empty()) {
    return refuse(fmt::format("the image's user \"{}\" has no number to check; set runAsUser", image.username()));
  }
  return refuse("the image runs as root; set runAsUser");
}

}  // namespace daemonsetd::cri
