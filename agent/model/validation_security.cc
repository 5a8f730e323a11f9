#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

void ValidateSeccomp(const corev1::SeccompProfile& profile, const Path& path, ErrorList& errors) {
  if (profile.type().empty()) {
    errors.Required(path / "type", "type is required when seccompProfile is set");
  } else {
    errors.CheckOneOf(path / "type", profile.type(), {"Localhost", "RuntimeDefault", "Unconfined"});
  }
  const Path at = path / "localhostProfile";
  if (profile.type() != "Localhost") {
    if (profile.has_localhostprofile()) {
      errors.Invalid(at, profile.localhostprofile(), "can only be set when seccomp type is Localhost");
    }
  } else if (!profile.has_localhostprofile()) {
    errors.Required(at, "must be set when seccomp type is Localhost");
  } else {
    CheckRelativePath(at, profile.localhostprofile(), errors);
  }
}

bool IsPadded(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  return !text.empty() &&
         (kSpace.find(text.front()) != std::string_view::npos || kSpace.find(text.back()) != std::string_view::npos);
}

void ValidateAppArmor(const corev1::AppArmorProfile& profile, const Path& path, ErrorList& errors) {
  constexpr std::size_t kLongestPath = 4095;
  const Path at = path / "localhostProfile";
  if (profile.type() == "Localhost") {
    if (profile.localhostprofile().empty()) {
      errors.Required(at, "must be set when AppArmor type is Localhost");
    } else if (IsPadded(profile.localhostprofile())) {
      errors.Invalid(at, profile.localhostprofile(), "must not be padded with whitespace");
    }
    if (profile.localhostprofile().size() > kLongestPath) {
      errors.TooLong(at, kLongestPath);
    }
  } else if (profile.type().empty()) {
    errors.Required(path / "type", "type is required when appArmorProfile is set");
  } else if (profile.type() != "RuntimeDefault" && profile.type() != "Unconfined") {
    errors.NotSupported(path / "type", profile.type(), {"Localhost", "RuntimeDefault", "Unconfined"});
  } else if (profile.has_localhostprofile()) {
    errors.Invalid(at, profile.localhostprofile(), "can only be set when AppArmor type is Localhost");
  }
}

void ValidateWindowsOptions(const corev1::WindowsSecurityContextOptions& options, const Path& path, ErrorList& errors) {
  constexpr std::size_t kLongestSpec = 64 * 1024;
  if (options.has_gmsacredentialspecname()) {
    errors.Check(path / "gmsaCredentialSpecName", options.gmsacredentialspecname(),
                 CheckDns1123Subdomain(options.gmsacredentialspecname()));
  }
  if (options.has_gmsacredentialspec()) {
    const Path at = path / "gmsaCredentialSpec";
    if (options.gmsacredentialspec().empty()) {
      errors.Invalid(at, "", "gmsaCredentialSpec cannot be an empty string");
    } else if (options.gmsacredentialspec().size() > kLongestSpec) {
      errors.Invalid(at, "", "gmsaCredentialSpec size must be under 64 KiB");
    }
  }
  if (!options.has_runasusername()) {
    return;
  }
  const Path at = path / "runAsUserName";
  const std::string& name = options.runasusername();
  const std::size_t backslash = name.find('\\');
  const std::string_view user = std::string_view(name).substr(backslash == std::string::npos ? 0 : backslash + 1);
  if (name.empty()) {
    errors.Invalid(at, name, "runAsUserName cannot be an empty string");
  } else if (std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    errors.Invalid(at, name, "runAsUserName cannot contain control characters");
  } else if (user.find('\\') != std::string_view::npos) {
    errors.Invalid(at, name, "runAsUserName cannot contain more than one backslash");
  } else if (user.empty()) {
    errors.Invalid(at, name, "runAsUserName's User cannot be empty");
  } else if (user.size() > 104) {
    errors.Invalid(at, name, "runAsUserName's User length must not be longer than 104 characters");
  } else if (user.find_first_not_of(". ") == std::string_view::npos) {
    errors.Invalid(at, name, "runAsUserName's User cannot contain only periods or spaces");
  } else if (user.find_first_of("\"/:;|=,+*?<>@[]") != std::string_view::npos) {
    errors.Invalid(at, name, "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
  }
}

// "net.ipv4.tcp_syncookies" or "net/ipv4/tcp_syncookies": segments of lower case letters, digits, '-' and '_'.
bool IsSysctlName(std::string_view name) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 253) {
    return false;
  }
  while (true) {
    const std::size_t end = name.find_first_of("./");
    const std::string_view segment = name.substr(0, end);
    const bool fits = !segment.empty() && is_alnum(segment.front()) && is_alnum(segment.back()) &&
                      std::ranges::all_of(segment, [&](char c) { return is_alnum(c) || c == '-' || c == '_'; });
    if (!fits) {
      return false;
    }
    if (end == std::string_view::npos) {
      return true;
    }
    name.remove_prefix(end + 1);
  }
}

bool IsNetworkSysctl(std::string_view name) { return name.starts_with("net.") || name.starts_with("net/"); }

bool IsIpcSysctl(std::string_view name) {
  constexpr std::string_view kNames[] = {"kernel.sem", "kernel/sem"};
  constexpr std::string_view kPrefixes[] = {"kernel.shm", "kernel.msg", "fs.mqueue.",
                                            "kernel/shm", "kernel/msg", "fs/mqueue/"};
  return std::ranges::find(kNames, name) != std::end(kNames) ||
         std::ranges::any_of(kPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

void ValidateSysctls(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  std::set<std::string_view> seen;
  for (int i = 0; i < spec.securitycontext().sysctls_size(); ++i) {
    const std::string& name = spec.securitycontext().sysctls(i).name();
    const Path at = path[i] / "name";
    if (name.empty()) {
      errors.Required(at);
    } else if (!IsSysctlName(name)) {
      errors.Invalid(at, name,
                     "must have at most 253 characters and match regex "
                     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
    } else if (!seen.insert(name).second) {
      errors.Duplicate(at, name);
    }
    if (spec.hostnetwork() && IsNetworkSysctl(name)) {
      errors.Invalid(at, name, "may not be specified when 'hostNetwork' is true");
    } else if (spec.hostipc() && IsIpcSysctl(name)) {
      errors.Invalid(at, name, "may not be specified when 'hostIPC' is true");
    }
  }
}

void ForbidIf(bool is_set, const Path& path, std::string_view reason, ErrorList& errors) {
  if (is_set) {
    errors.Forbidden(path, std::string(reason));
  }
}

void ValidateHostProcesses(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  const auto& pod = spec.securitycontext().windowsoptions();
  int containers = 0;
  int host_processes = 0;
  VisitContainers(spec, path, [&](const corev1::Container& container, const Path& at) {
    const auto& own = container.securitycontext().windowsoptions();
    ++containers;
    if (pod.has_hostprocess() && own.has_hostprocess() && pod.hostprocess() != own.hostprocess()) {
      errors.InvalidBool(at / "securityContext" / "windowsOptions" / "hostProcess", own.hostprocess(),
                         std::string("pod hostProcess value must be identical if both are specified, was ") +
                             (pod.hostprocess() ? "true" : "false"));
    }
    host_processes += (own.has_hostprocess() ? own.hostprocess() : pod.hostprocess()) ? 1 : 0;
  });
  if (host_processes == 0) {
    return;
  }
  if (host_processes != containers) {
    errors.Invalid(path, "",
                   "If pod contains any hostProcess containers then all containers must be HostProcess containers");
  }
  if (!spec.hostnetwork()) {
    errors.InvalidBool(path / "hostNetwork", false,
                       "hostNetwork must be true if pod contains any hostProcess containers");
  }
}

void ValidateWindowsPod(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  constexpr std::string_view kReason = "cannot be set for a windows pod";
  const auto& pod = spec.securitycontext();
  const Path at = path / "securityContext";
  ForbidIf(pod.has_apparmorprofile(), at / "appArmorProfile", kReason, errors);
  ForbidIf(pod.has_selinuxoptions(), at / "seLinuxOptions", kReason, errors);
  ForbidIf(spec.has_hostusers(), path / "hostUsers", kReason, errors);
  ForbidIf(spec.hostpid(), path / "hostPID", kReason, errors);
  ForbidIf(spec.hostipc(), path / "hostIPC", kReason, errors);
  ForbidIf(pod.has_seccompprofile(), at / "seccompProfile", kReason, errors);
  ForbidIf(pod.has_fsgroup(), at / "fsGroup", kReason, errors);
  ForbidIf(pod.has_fsgroupchangepolicy(), at / "fsGroupChangePolicy", kReason, errors);
  ForbidIf(!pod.sysctls().empty(), at / "sysctls", kReason, errors);
  ForbidIf(spec.has_shareprocessnamespace(), path / "shareProcessNamespace", kReason, errors);
  ForbidIf(pod.has_runasuser(), at / "runAsUser", kReason, errors);
  ForbidIf(pod.has_runasgroup(), at / "runAsGroup", kReason, errors);
  ForbidIf(!pod.supplementalgroups().empty(), at / "supplementalGroups", kReason, errors);
  ForbidIf(pod.has_supplementalgroupspolicy(), at / "supplementalGroupsPolicy", kReason, errors);
  ForbidIf(pod.has_selinuxchangepolicy(), at / "seLinuxChangePolicy", kReason, errors);
  VisitContainers(spec, path, [&](const corev1::Container& container, const Path& container_path) {
    const auto& own = container.securitycontext();
    const Path own_path = container_path / "securityContext";
    ForbidIf(own.has_apparmorprofile(), own_path / "appArmorProfile", kReason, errors);
    ForbidIf(own.has_selinuxoptions(), own_path / "seLinuxOptions", kReason, errors);
    ForbidIf(own.has_seccompprofile(), own_path / "seccompProfile", kReason, errors);
    ForbidIf(own.has_capabilities(), own_path / "capabilities", kReason, errors);
    ForbidIf(own.has_readonlyrootfilesystem(), own_path / "readOnlyRootFilesystem", kReason, errors);
    ForbidIf(own.has_privileged(), own_path / "privileged", kReason, errors);
    ForbidIf(own.has_allowprivilegeescalation(), own_path / "allowPrivilegeEscalation", kReason, errors);
    ForbidIf(own.has_procmount(), own_path / "procMount", kReason, errors);
    ForbidIf(own.has_runasuser(), own_path / "runAsUser", kReason, errors);
    ForbidIf(own.has_runasgroup(), own_path / "runAsGroup", kReason, errors);
  });
}

void ValidateLinuxPod(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  constexpr std::string_view kReason = "windows options cannot be set for a linux pod";
  ForbidIf(spec.securitycontext().has_windowsoptions(), path / "securityContext" / "windowsOptions", kReason, errors);
  VisitContainers(spec, path, [&](const corev1::Container& container, const Path& at) {
    ForbidIf(container.securitycontext().has_windowsoptions(), at / "securityContext" / "windowsOptions", kReason,
             errors);
  });
}

}  // namespace

void ValidateSecurityContext(const corev1::SecurityContext& security, const PodContext& context, const Path& path,
                             ErrorList& errors) {
  if (security.has_runasuser()) {
    errors.CheckId(path / "runAsUser", security.runasuser());
  }
  if (security.has_runasgroup()) {
    errors.CheckId(path / "runAsGroup", security.runasgroup());
  }
  if (security.has_procmount()) {
    errors.CheckOneOf(path / "procMount", security.procmount(), {"Default", "Unmasked"});
    if (context.host_users && security.procmount() == "Unmasked") {
      errors.Invalid(path / "procMount", security.procmount(), "`hostUsers` must be false to use `Unmasked`");
    }
  }
  if (security.has_seccompprofile()) {
    ValidateSeccomp(security.seccompprofile(), path / "seccompProfile", errors);
  }
  if (security.has_allowprivilegeescalation() && !security.allowprivilegeescalation()) {
    if (security.privileged()) {
      errors.Invalid(path, "privileged", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
    for (const std::string& capability : security.capabilities().add()) {
      if (capability == "CAP_SYS_ADMIN") {
        errors.Invalid(path, capability,
                       "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
      }
    }
  }
  if (security.has_windowsoptions()) {
    ValidateWindowsOptions(security.windowsoptions(), path / "windowsOptions", errors);
  }
  if (security.has_apparmorprofile()) {
    ValidateAppArmor(security.apparmorprofile(), path / "appArmorProfile", errors);
  }
}

void ValidatePodSecurityContext(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  const auto& security = spec.securitycontext();
  const Path at = path / "securityContext";
  if (security.has_fsgroup()) {
    errors.CheckId(at / "fsGroup", security.fsgroup());
  }
  if (security.has_runasuser()) {
    errors.CheckId(at / "runAsUser", security.runasuser());
  }
  if (security.has_runasgroup()) {
    errors.CheckId(at / "runAsGroup", security.runasgroup());
  }
  for (int i = 0; i < security.supplementalgroups_size(); ++i) {
    errors.CheckId((at / "supplementalGroups")[i], security.supplementalgroups(i));
  }
  if (spec.shareprocessnamespace() && spec.hostpid()) {
    errors.InvalidBool(path / "shareProcessNamespace", true,
                       "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  ValidateSysctls(spec, at / "sysctls", errors);
  if (security.has_fsgroupchangepolicy()) {
    errors.CheckOneOf(at / "fsGroupChangePolicy", security.fsgroupchangepolicy(), {"Always", "OnRootMismatch"});
  }
  if (security.has_seccompprofile()) {
    ValidateSeccomp(security.seccompprofile(), at / "seccompProfile", errors);
  }
  if (security.has_windowsoptions()) {
    ValidateWindowsOptions(security.windowsoptions(), at / "windowsOptions", errors);
  }
  if (security.has_apparmorprofile()) {
    ValidateAppArmor(security.apparmorprofile(), at / "appArmorProfile", errors);
  }
  if (security.has_supplementalgroupspolicy()) {
    errors.CheckOneOf(at / "supplementalGroupsPolicy", security.supplementalgroupspolicy(), {"Merge", "Strict"});
  }
  if (security.has_selinuxchangepolicy()) {
    errors.CheckOneOf(at / "seLinuxChangePolicy", security.selinuxchangepolicy(), {"MountOption", "Recursive"});
  }
}

void ValidateOsAndHostAccess(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  ValidateHostProcesses(spec, path, errors);
  if (spec.has_hostusers() && !spec.hostusers()) {
    constexpr std::string_view kReason = "when `pod.Spec.HostUsers` is false";
    ForbidIf(spec.hostnetwork(), path / "hostNetwork", kReason, errors);
    ForbidIf(spec.hostpid(), path / "HostPID", kReason, errors);
    ForbidIf(spec.hostipc(), path / "HostIPC", kReason, errors);
  }
  if (!spec.has_os()) {
    return;
  }
  const std::string& os = spec.os().name();
  if (os.empty()) {
    errors.Required(path / "os" / "name", "cannot be empty");
  } else if (os == "linux") {
    ValidateLinuxPod(spec, path, errors);
  } else if (os == "windows") {
    ValidateWindowsPod(spec, path, errors);
  } else {
    errors.NotSupported(path / "os", os, {"linux", "windows"});
  }
}

}  // namespace daemonsetd::model::validation
