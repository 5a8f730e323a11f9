#include "agent/decide/sysctls.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace daemonsetd::decide {
namespace {

constexpr std::array<std::string_view, 12> kSafe = {"kernel.shm_rmid_forced",
                                                    "net.ipv4.ip_local_port_range",
                                                    "net.ipv4.tcp_syncookies",
                                                    "net.ipv4.ping_group_range",
                                                    "net.ipv4.ip_unprivileged_port_start",
                                                    "net.ipv4.ip_local_reserved_ports",
                                                    "net.ipv4.tcp_keepalive_time",
                                                    "net.ipv4.tcp_fin_timeout",
                                                    "net.ipv4.tcp_keepalive_intvl",
                                                    "net.ipv4.tcp_keepalive_probes",
                                                    "net.ipv4.tcp_rmem",
                                                    "net.ipv4.tcp_wmem"};

// What the kernel keeps per IPC or network namespace.
constexpr std::array<std::string_view, 2> kNamespaced = {"kernel.sem", "kernel.shm_rmid_forced"};
constexpr std::array<std::string_view, 4> kNamespacedGroups = {"kernel.shm", "kernel.msg", "fs.mqueue.", "net."};

// Where the first separator is a slash, slash and dot have changed places (sysctl(8)).
std::string Normal(std::string_view name) {
  std::string normal(name);
  const std::size_t first = name.find_first_of("./");
  if (first == std::string_view::npos || name[first] == '.') return normal;
  for (char& c : normal) c = c == '/' ? '.' : c == '.' ? '/' : c;
  return normal;
}

bool Matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

}  // namespace

Status CheckSysctls(const corev1::PodSpec& spec, const std::vector<std::string>& allowed_unsafe) {
  for (const corev1::Sysctl& sysctl : spec.securitycontext().sysctls()) {
    const std::string name = Normal(sysctl.name());
    const bool allowed = std::find(kSafe.begin(), kSafe.end(), name) != kSafe.end() ||
                         std::any_of(allowed_unsafe.begin(), allowed_unsafe.end(),
                                     [&name](const std::string& pattern) { return Matches(Normal(pattern), name); });
    if (!allowed) {
      return Error(ErrorKind::kDenied,
                   fmt::format("forbidden sysctl: \"{}\" is not a safe one; list it in allowedUnsafeSysctls of the "
                               "node's configuration to allow it",
                               sysctl.name()));
    }
  }
  return Ok();
}

std::string CheckSysctlPattern(std::string_view pattern) {
  const std::string normal = Normal(pattern);
  std::string_view name = normal;
  const bool open = name.ends_with('*');
  if (open) name.remove_suffix(1);
  if (name.empty() || name.find('*') != std::string_view::npos) {
    return "write a name, or a beginning with \"*\" at its end, for example \"net.core.*\"";
  }
  const bool exact = std::find(kNamespaced.begin(), kNamespaced.end(), name) != kNamespaced.end();
  const bool group = std::any_of(kNamespacedGroups.begin(), kNamespacedGroups.end(),
                                 [name](std::string_view prefix) { return name.starts_with(prefix); });
  if (exact || group) return "";
  return "it belongs to the whole node; only kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.* belong to a "
         "pod";
}

}  // namespace daemonsetd::decide
