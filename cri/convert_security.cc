#include "cri/convert_security.h"

#include <array>
#include <string_view>

namespace daemonsetd::cri {

namespace v1 = ::runtime::v1;

namespace {

// pkg/securitycontext/util.go. What procMount: Unmasked lifts.
constexpr std::array<std::string_view, 12> kMaskedPaths = {
    "/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap"};
constexpr std::array<std::string_view, 5> kReadonlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                            "/proc/sysrq-trigger"};

constexpr std::string_view kAppArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/";
constexpr std::string_view kLocalhostPrefix = "localhost/";

// Seccomp and AppArmor profiles have the same form in the API. False for a type that the API does not have.
template <class Profile>
bool SetProfile(const Profile& from, const std::string& localhost_directory, v1::SecurityProfile& to) {
  if (from.type() == "RuntimeDefault") {
    to.set_profile_type(v1::SecurityProfile::RuntimeDefault);
  } else if (from.type() == "Unconfined") {
    to.set_profile_type(v1::SecurityProfile::Unconfined);
  } else if (from.type() == "Localhost") {
    to.set_profile_type(v1::SecurityProfile::Localhost);
    to.set_localhost_ref(localhost_directory.empty() ? from.localhostprofile()
                                                     : localhost_directory + "/" + from.localhostprofile());
  } else {
    return false;
  }
  return true;
}

v1::SecurityProfile SeccompOf(const corev1::PodSpec& spec, const corev1::Container& container,
                              const ContainerInputs& inputs) {
  v1::SecurityProfile profile;
  profile.set_profile_type(inputs.seccomp_default ? v1::SecurityProfile::RuntimeDefault
                                                  : v1::SecurityProfile::Unconfined);
  const corev1::SeccompProfile* from = nullptr;
  if (container.securitycontext().has_seccompprofile()) {
    from = &container.securitycontext().seccompprofile();
  } else if (spec.securitycontext().has_seccompprofile()) {
    from = &spec.securitycontext().seccompprofile();
  }
  if (from != nullptr && !SetProfile(*from, inputs.seccomp_root, profile)) {
    // A profile that nobody knows must not mean less protection than the default one.
    profile.set_profile_type(v1::SecurityProfile::RuntimeDefault);
  }
  return profile;
}

// The annotation of before the field existed, which static pods may still carry.
bool SetAppArmorFromAnnotation(const corev1::Pod& pod, const std::string& container, v1::SecurityProfile& profile) {
  const auto& annotations = pod.metadata().annotations();
  const auto found = annotations.find(std::string(kAppArmorAnnotation) + container);
  if (found == annotations.end()) return false;
  const std::string_view value = found->second;
  if (value == "runtime/default") {
    profile.set_profile_type(v1::SecurityProfile::RuntimeDefault);
  } else if (value == "unconfined") {
    profile.set_profile_type(v1::SecurityProfile::Unconfined);
  } else if (value.substr(0, kLocalhostPrefix.size()) == kLocalhostPrefix) {
    profile.set_profile_type(v1::SecurityProfile::Localhost);
    profile.set_localhost_ref(std::string(value.substr(kLocalhostPrefix.size())));
  } else {
    return false;
  }
  return true;
}

bool SetAppArmor(const corev1::Pod& pod, const corev1::Container& container, v1::SecurityProfile& profile) {
  if (container.securitycontext().has_apparmorprofile()) {
    return SetProfile(container.securitycontext().apparmorprofile(), "", profile);
  }
  if (SetAppArmorFromAnnotation(pod, container.name(), profile)) return true;
  if (pod.spec().securitycontext().has_apparmorprofile()) {
    return SetProfile(pod.spec().securitycontext().apparmorprofile(), "", profile);
  }
  return false;
}

void SetUser(const corev1::PodSpec& spec, const corev1::Container& container, const ContainerInputs& inputs,
             v1::LinuxContainerSecurityContext& to) {
  if (const auto user = EffectiveRunAsUser(spec, container)) {
    to.mutable_run_as_user()->set_value(*user);
  } else if (inputs.image_uid) {
    to.mutable_run_as_user()->set_value(*inputs.image_uid);
  } else if (!inputs.image_username.empty()) {
    to.set_run_as_username(inputs.image_username);
  } else {
    to.mutable_run_as_user()->set_value(0);  // an image without a user runs as root
  }
  if (const auto group = EffectiveRunAsGroup(spec, container)) to.mutable_run_as_group()->set_value(*group);
}

}  // namespace

v1::NamespaceOption ToNamespaceOption(const corev1::PodSpec& spec, const std::optional<IdRange>& user_namespace) {
  v1::NamespaceOption namespaces;
  namespaces.set_network(spec.hostnetwork() ? v1::NamespaceMode::NODE : v1::NamespaceMode::POD);
  namespaces.set_ipc(spec.hostipc() ? v1::NamespaceMode::NODE : v1::NamespaceMode::POD);
  if (spec.hostpid()) {
    namespaces.set_pid(v1::NamespaceMode::NODE);
  } else {
    namespaces.set_pid(spec.shareprocessnamespace() ? v1::NamespaceMode::POD : v1::NamespaceMode::CONTAINER);
  }
  if (spec.has_hostusers()) {
    v1::UserNamespace& users = *namespaces.mutable_userns_options();
    users.set_mode(user_namespace ? v1::NamespaceMode::POD : v1::NamespaceMode::NODE);
    if (user_namespace) *users.add_uids() = ToIdMapping(*user_namespace);
    if (user_namespace) *users.add_gids() = ToIdMapping(*user_namespace);
  }
  return namespaces;
}

v1::IDMapping ToIdMapping(const IdRange& range) {
  v1::IDMapping mapping;
  mapping.set_host_id(range.host_id);
  mapping.set_container_id(0);
  mapping.set_length(range.length);
  return mapping;
}

v1::SELinuxOption ToSelinuxOption(const corev1::SELinuxOptions& options) {
  v1::SELinuxOption to;
  to.set_user(options.user());
  to.set_role(options.role());
  to.set_type(options.type());
  to.set_level(options.level());
  return to;
}

std::optional<std::int64_t> EffectiveRunAsUser(const corev1::PodSpec& spec, const corev1::Container& container) {
  if (container.securitycontext().has_runasuser()) return container.securitycontext().runasuser();
  if (spec.securitycontext().has_runasuser()) return spec.securitycontext().runasuser();
  return std::nullopt;
}

std::optional<std::int64_t> EffectiveRunAsGroup(const corev1::PodSpec& spec, const corev1::Container& container) {
  if (container.securitycontext().has_runasgroup()) return container.securitycontext().runasgroup();
  if (spec.securitycontext().has_runasgroup()) return spec.securitycontext().runasgroup();
  return std::nullopt;
}

bool EffectiveRunAsNonRoot(const corev1::PodSpec& spec, const corev1::Container& container) {
  if (container.securitycontext().has_runasnonroot()) return container.securitycontext().runasnonroot();
  return spec.securitycontext().runasnonroot();
}

v1::LinuxContainerSecurityContext ToContainerSecurityContext(const corev1::Pod& pod, const corev1::Container& container,
                                                             const ContainerInputs& inputs) {
  const corev1::SecurityContext& from = container.securitycontext();
  const corev1::PodSecurityContext& pod_context = pod.spec().securitycontext();
  v1::LinuxContainerSecurityContext to;

  SetUser(pod.spec(), container, inputs, to);
  SetGroups(pod_context, to);
  *to.mutable_namespace_options() = ToNamespaceOption(pod.spec(), inputs.user_namespace);
  to.set_privileged(from.privileged());
  to.set_readonly_rootfs(from.readonlyrootfilesystem());
  to.set_no_new_privs(from.has_allowprivilegeescalation() && !from.allowprivilegeescalation());
  if (from.has_capabilities()) {
    for (const std::string& name : from.capabilities().add()) to.mutable_capabilities()->add_add_capabilities(name);
    for (const std::string& name : from.capabilities().drop()) to.mutable_capabilities()->add_drop_capabilities(name);
  }
  if (from.has_selinuxoptions()) {
    *to.mutable_selinux_options() = ToSelinuxOption(from.selinuxoptions());
  } else if (pod_context.has_selinuxoptions()) {
    *to.mutable_selinux_options() = ToSelinuxOption(pod_context.selinuxoptions());
  }
  if (from.procmount() != "Unmasked") {
    for (const std::string_view path : kMaskedPaths) to.add_masked_paths(std::string(path));
    for (const std::string_view path : kReadonlyPaths) to.add_readonly_paths(std::string(path));
  }
  *to.mutable_seccomp() = SeccompOf(pod.spec(), container, inputs);
  v1::SecurityProfile apparmor;
  if (SetAppArmor(pod, container, apparmor)) *to.mutable_apparmor() = apparmor;
  return to;
}

}  // namespace daemonsetd::cri
