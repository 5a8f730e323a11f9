#include <limits>
#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

void ValidateResourceClaims(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  std::set<std::string, std::less<>> names;
  for (int i = 0; i < spec.resourceclaims_size(); ++i) {
    const auto& claim = spec.resourceclaims(i);
    if (claim.name().empty()) {
      errors.Required(path[i] / "name");
    } else if (!names.insert(claim.name()).second) {
      errors.Duplicate(path[i] / "name", claim.name());
    } else {
      errors.Check(path[i] / "name", claim.name(), CheckDns1123Label(claim.name()));
    }
    if (claim.has_resourceclaimname() && claim.has_resourceclaimtemplatename()) {
      errors.Invalid(path[i], claim.name(),
                     "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    }
    if (!claim.has_resourceclaimname() && !claim.has_resourceclaimtemplatename()) {
      errors.Invalid(path[i], claim.name(), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
    if (claim.has_resourceclaimname()) {
      errors.Check(path[i] / "resourceClaimName", claim.resourceclaimname(),
                   CheckDns1123Subdomain(claim.resourceclaimname()));
    }
    if (claim.has_resourceclaimtemplatename()) {
      errors.Check(path[i] / "resourceClaimTemplateName", claim.resourceclaimtemplatename(),
                   CheckDns1123Subdomain(claim.resourceclaimtemplatename()));
    }
  }
}

// On the host's network a container's port is the host's port; a template may leave it out.
void ValidateHostNetworkPorts(const corev1::PodSpec& spec, bool is_pod, const Path& path, ErrorList& errors) {
  if (!spec.hostnetwork()) {
    return;
  }
  for (int i = 0; i < spec.containers_size(); ++i) {
    for (int j = 0; j < spec.containers(i).ports_size(); ++j) {
      const auto& port = spec.containers(i).ports(j);
      if ((is_pod || port.hostport() != 0) && port.hostport() != port.containerport()) {
        errors.InvalidNumber(((path / "containers")[i] / "ports")[j] / "hostPort", port.hostport(),
                             "must match `containerPort` when `hostNetwork` is true");
      }
    }
  }
}

void ValidateDnsConfig(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  constexpr int kMostServers = 3;
  constexpr int kMostSearches = 32;
  constexpr std::size_t kSearchCharacters = 2048;
  const auto& dns = spec.dnsconfig();
  if (spec.dnspolicy() == "None") {
    if (!spec.has_dnsconfig()) {
      errors.Required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
      return;
    }
    if (dns.nameservers().empty()) {
      errors.Required(path / "nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None");
      return;
    }
  }
  if (dns.nameservers_size() > kMostServers) {
    errors.Invalid(path / "nameservers", dns.nameservers(kMostServers), "must not have more than 3 nameservers");
  }
  for (int i = 0; i < dns.nameservers_size(); ++i) {
    errors.Check((path / "nameservers")[i], dns.nameservers(i), CheckIpAddress(dns.nameservers(i)));
  }
  if (dns.searches_size() > kMostSearches) {
    errors.Invalid(path / "searches", dns.searches(kMostSearches), "must not have more than 32 search paths");
  }
  std::size_t characters = dns.searches().empty() ? 0 : static_cast<std::size_t>(dns.searches_size() - 1);
  for (int i = 0; i < dns.searches_size(); ++i) {
    characters += dns.searches(i).size();
    std::string_view search = dns.searches(i);
    if (search == ".") {
      continue;
    }
    if (search.ends_with('.')) {
      search.remove_suffix(1);
    }
    errors.Check((path / "searches")[i], search, CheckDns1123SubdomainWithUnderscore(search));
  }
  if (characters > kSearchCharacters) {
    errors.Invalid(path / "searches", dns.searches(0),
                   "must not have more than 2048 characters (including spaces) in the search list");
  }
  for (int i = 0; i < dns.options_size(); ++i) {
    if (dns.options(i).name().empty()) {
      errors.Required((path / "options")[i], "must not be empty");
    }
  }
}

void ValidateGates(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  for (int i = 0; i < spec.readinessgates_size(); ++i) {
    const std::string& type = spec.readinessgates(i).conditiontype();
    errors.Check((path / "readinessGates")[i] / "conditionType", type, CheckQualifiedName(type));
  }
  std::set<std::string_view> gates;
  for (int i = 0; i < spec.schedulinggates_size(); ++i) {
    const std::string& name = spec.schedulinggates(i).name();
    errors.Check((path / "schedulingGates")[i], name, CheckQualifiedName(name));
    if (!gates.insert(name).second) {
      errors.Duplicate((path / "schedulingGates")[i], name);
    }
  }
}

void ValidateHostnames(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  if (spec.has_hostnameoverride()) {
    const Path at = path / "hostnameOverride";
    if (spec.hostnetwork()) {
      errors.Forbidden(at, "may not be set when `hostNetwork` is true");
    }
    if (spec.sethostnameasfqdn()) {
      errors.Forbidden(at, "may not be set when `setHostnameAsFQDN` is true");
    }
    errors.Check(at, spec.hostnameoverride(),
                 spec.hostnameoverride().size() > 64 ? "must be no more than 64 characters"
                                                     : CheckDns1123Subdomain(spec.hostnameoverride()));
  }
  const auto check = [&](std::string_view field, const std::string& name, auto rule) {
    if (!name.empty()) {
      errors.Check(path / field, name, rule(name));
    }
  };
  check("serviceAccountName", spec.serviceaccountname(), CheckDns1123Subdomain);
  check("nodeName", spec.nodename(), CheckDns1123Subdomain);
  check("hostname", spec.hostname(), CheckDns1123Label);
  check("subdomain", spec.subdomain(), CheckDns1123Label);
  check("priorityClassName", spec.priorityclassname(), CheckDns1123Subdomain);
  if (spec.has_runtimeclassname()) {
    errors.Check(path / "runtimeClassName", spec.runtimeclassname(), CheckDns1123Subdomain(spec.runtimeclassname()));
  }
}

void ValidateHostAliases(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  for (int i = 0; i < spec.hostaliases_size(); ++i) {
    const auto& alias = spec.hostaliases(i);
    errors.Check(path[i] / "ip", alias.ip(), CheckIpAddress(alias.ip()));
    for (int j = 0; j < alias.hostnames_size(); ++j) {
      errors.Check((path[i] / "hostnames")[j], alias.hostnames(j), CheckDns1123Subdomain(alias.hostnames(j)));
    }
  }
}

// A value that defaulting has filled in, so that an empty one is a fault of its own.
void CheckPolicy(const Path& path, const std::string& value, std::initializer_list<std::string_view> supported,
                 ErrorList& errors) {
  if (value.empty()) {
    errors.Required(path);
  } else {
    errors.CheckOneOf(path, value, supported);
  }
}

void ValidateLifetime(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  if (!spec.has_terminationgraceperiodseconds()) {
    errors.Required(path / "terminationGracePeriodSeconds");
  } else {
    // Upstream lets a negative period through and runs it as one second; nobody means that in a manifest.
    errors.CheckNotNegative(path / "terminationGracePeriodSeconds", spec.terminationgraceperiodseconds());
  }
  constexpr std::int64_t kLongest = std::numeric_limits<std::int32_t>::max();
  if (spec.has_activedeadlineseconds() &&
      (spec.activedeadlineseconds() < 1 || spec.activedeadlineseconds() > kLongest)) {
    errors.InvalidNumber(path / "activeDeadlineSeconds", spec.activedeadlineseconds(), RangeReason(1, kLongest));
  }
}

void ValidateSchedulingGroup(const corev1::PodSpec& spec, bool is_pod, const Path& path, ErrorList& errors) {
  if (!spec.has_schedulinggroup()) {
    return;
  }
  const std::string& name = spec.schedulinggroup().podgroupname();
  errors.Check(path / "podGroupName", name, CheckDns1123Subdomain(name));
  if (!is_pod) {
    errors.Forbidden(path, "may not be set in a pod template");
  }
}

PodContext MakeContext(const corev1::PodSpec& spec, bool is_pod) {
  PodContext context;
  context.is_pod = is_pod;
  context.restart_policy = spec.restartpolicy();
  context.host_users = !spec.has_hostusers() || spec.hostusers();
  if (spec.has_terminationgraceperiodseconds()) {
    context.grace_period = spec.terminationgraceperiodseconds();
  }
  if (spec.has_os()) {
    context.os = spec.os().name();
  }
  for (const auto& claim : spec.resourceclaims()) {
    if (!claim.name().empty()) {
      context.claim_names.insert(claim.name());
    }
  }
  return context;
}

}  // namespace

void ValidatePodSpec(const corev1::PodSpec& spec, std::string_view pod_name, bool is_pod, const Path& path,
                     ErrorList& errors) {
  PodContext context = MakeContext(spec, is_pod);
  ValidateLifetime(spec, path, errors);
  ValidateVolumes(spec, pod_name, path / "volumes", context, errors);
  ValidateResourceClaims(spec, path / "resourceClaims", errors);
  ValidateAllContainers(spec, context, path, errors);
  if (spec.has_resources()) {
    ValidatePodResources(spec, context, path / "resources", errors);
  }
  ValidateHostNetworkPorts(spec, is_pod, path, errors);
  CheckPolicy(path / "restartPolicy", spec.restartpolicy(), {"Always", "OnFailure", "Never"}, errors);
  CheckPolicy(path / "dnsPolicy", spec.dnspolicy(), {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"},
              errors);
  ValidateLabels(spec.nodeselector(), path / "nodeSelector", errors);
  ValidatePodSecurityContext(spec, path, errors);
  ValidateAffinity(spec.affinity(), path / "affinity", errors);
  ValidateDnsConfig(spec, path / "dnsConfig", errors);
  ValidateGates(spec, path, errors);
  ValidateTopologySpread(spec, path / "topologySpreadConstraints", errors);
  ValidateHostnames(spec, path, errors);
  ValidateTolerations(spec, path / "tolerations", errors);
  ValidateHostAliases(spec, path / "hostAliases", errors);
  if (spec.has_preemptionpolicy()) {
    CheckPolicy(path / "preemptionPolicy", spec.preemptionpolicy(), {"PreemptLowerPriority", "Never"}, errors);
  }
  ValidateOverhead(spec.overhead(), context, path / "overhead", errors);
  ValidateOsAndHostAccess(spec, path, errors);
  ValidateSchedulingGroup(spec, is_pod, path / "schedulingGroup", errors);
  ValidateFileKeyVolumes(spec, path, context, errors);
}

void ValidatePodTemplate(const corev1::PodTemplateSpec& pod_template, const Path& path, ErrorList& errors) {
  const auto& metadata = pod_template.metadata();
  const auto& spec = pod_template.spec();
  // Upstream leaves "metadata" out of the paths of a template's labels and annotations.
  ValidateLabels(metadata.labels(), path / "labels", errors);
  ValidateAnnotations(metadata.annotations(), path / "annotations", errors);
  ValidatePodAnnotations(metadata.annotations(), spec, path / "annotations", errors);
  ValidatePodSpec(spec, {}, false, path / "spec", errors);
  ValidateProfilesMatchAnnotations(metadata.annotations(), spec, path / "spec", errors);
  if (!spec.ephemeralcontainers().empty()) {
    errors.Forbidden(path / "spec" / "ephemeralContainers", "ephemeral containers not allowed in pod template");
  }
}

}  // namespace daemonsetd::model::validation
