#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

using NameSet = std::set<std::string, std::less<>>;

void ValidatePorts(const corev1::Container& container, const Path& path, ErrorList& errors) {
  NameSet names;
  for (int i = 0; i < container.ports_size(); ++i) {
    const auto& port = container.ports(i);
    if (!port.name().empty()) {
      if (std::string reason = CheckPortName(port.name()); !reason.empty()) {
        errors.Invalid(path[i] / "name", port.name(), std::move(reason));
      } else if (!names.insert(port.name()).second) {
        errors.Duplicate(path[i] / "name", port.name());
      }
    }
    if (port.containerport() == 0) {
      errors.Required(path[i] / "containerPort");
    } else if (!IsPortNumber(port.containerport())) {
      errors.InvalidNumber(path[i] / "containerPort", port.containerport(), RangeReason(1, 65535));
    }
    if (port.hostport() != 0 && !IsPortNumber(port.hostport())) {
      errors.InvalidNumber(path[i] / "hostPort", port.hostport(), RangeReason(1, 65535));
    }
    if (port.protocol().empty()) {
      errors.Required(path[i] / "protocol");
    } else {
      errors.CheckOneOf(path[i] / "protocol", port.protocol(), {"SCTP", "TCP", "UDP"});
    }
  }
}

// `taken` holds the host ports of the containers before this one.
void CheckHostPorts(const corev1::Container& container, NameSet& taken, const Path& path, ErrorList& errors) {
  for (int i = 0; i < container.ports_size(); ++i) {
    const auto& port = container.ports(i);
    if (port.hostport() == 0) {
      continue;
    }
    std::string key = port.protocol() + "/" + port.hostip() + "/" + std::to_string(port.hostport());
    if (!taken.insert(key).second) {
      errors.Duplicate((path / "ports")[i] / "hostPort", key);
    }
  }
}

void ValidateResizePolicy(const corev1::Container& container, const PodContext& context, const Path& path,
                          ErrorList& errors) {
  NameSet resources;
  for (int i = 0; i < container.resizepolicy_size(); ++i) {
    const auto& policy = container.resizepolicy(i);
    if (!resources.insert(policy.resourcename()).second) {
      errors.Duplicate(path[i], policy.resourcename());
    }
    if (policy.resourcename().empty()) {
      errors.Required(path);
    } else {
      errors.CheckOneOf(path, policy.resourcename(), {"cpu", "memory"});
    }
    if (policy.restartpolicy().empty()) {
      errors.Required(path);
    } else {
      errors.CheckOneOf(path, policy.restartpolicy(), {"NotRequired", "RestartContainer"});
    }
    if (context.restart_policy == "Never" && policy.restartpolicy() != "NotRequired") {
      errors.Invalid(path, policy.restartpolicy(), "must be 'NotRequired' when `restartPolicy` is 'Never'");
    }
  }
}

void ValidateRestartRules(const corev1::Container& container, const Path& path, ErrorList& errors) {
  constexpr int kMostRules = 20;
  constexpr int kMostCodes = 255;
  if (container.has_restartpolicy()) {
    errors.CheckOneOf(path / "restartPolicy", container.restartpolicy(), {"Always", "Never", "OnFailure"});
  } else if (!container.restartpolicyrules().empty()) {
    errors.Required(path / "restartPolicy", "must specify restartPolicy when restart rules are used");
  }
  const Path rules = path / "restartPolicyRules";
  if (container.restartpolicyrules_size() > kMostRules) {
    errors.TooMany(rules, static_cast<std::size_t>(container.restartpolicyrules_size()), kMostRules);
  }
  for (int i = 0; i < container.restartpolicyrules_size(); ++i) {
    const auto& rule = container.restartpolicyrules(i);
    errors.CheckOneOf(rules[i] / "action", rule.action(), {"Restart", "RestartAllContainers"});
    const Path codes = rules[i] / "exitCodes";
    if (!rule.has_exitcodes()) {
      errors.Required(codes, "must be specified");
      continue;
    }
    errors.CheckOneOf(codes / "operator", rule.exitcodes().operator_(), {"In", "NotIn"});
    if (rule.exitcodes().values_size() > kMostCodes) {
      errors.TooMany(codes / "values", static_cast<std::size_t>(rule.exitcodes().values_size()), kMostCodes);
    }
  }
}

void CheckImagePadding(const corev1::Container& container, const Path& path, ErrorList& errors) {
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  const std::string& image = container.image();
  if (!image.empty() &&
      (kSpace.find(image.front()) != std::string_view::npos || kSpace.find(image.back()) != std::string_view::npos)) {
    errors.Invalid(path / "image", image, "must not have leading or trailing whitespace");
  }
}

// What holds for init, regular and ephemeral containers.
void ValidateContainer(const corev1::Container& container, const PodContext& context, const Path& path,
                       ErrorList& errors) {
  if (container.name().empty()) {
    errors.Required(path / "name");
  } else {
    errors.Check(path / "name", container.name(), CheckDns1123Label(container.name()));
  }
  if (container.image().empty()) {
    errors.Required(path / "image");
  }
  if (container.terminationmessagepolicy().empty()) {
    errors.Required(path / "terminationMessagePolicy");
  } else {
    errors.CheckOneOf(path / "terminationMessagePolicy", container.terminationmessagepolicy(),
                      {"FallbackToLogsOnError", "File"});
  }
  ValidatePorts(container, path / "ports", errors);
  ValidateEnv(container, path / "env", errors);
  ValidateEnvFrom(container, path / "envFrom", errors);
  ValidateVolumeMounts(container, context, path / "volumeMounts", errors);
  ValidateVolumeDevices(container, context, path / "volumeDevices", errors);
  ValidatePullPolicy(container.imagepullpolicy(), path / "imagePullPolicy", errors);
  ValidateContainerResources(container.resources(), context, path / "resources", errors);
  ValidateResizePolicy(container, context, path / "resizePolicy", errors);
  if (container.has_securitycontext()) {
    ValidateSecurityContext(container.securitycontext(), context, path / "securityContext", errors);
  }
}

void ValidateRegularContainers(const corev1::PodSpec& spec, const PodContext& context, const Path& path,
                               ErrorList& errors) {
  if (spec.containers().empty()) {
    errors.Required(path);
  }
  NameSet names;
  for (int i = 0; i < spec.containers_size(); ++i) {
    const auto& container = spec.containers(i);
    ValidateContainer(container, context, path[i], errors);
    if (!names.insert(container.name()).second) {
      errors.Duplicate(path[i] / "name", container.name());
    }
    if (container.has_lifecycle()) {
      ValidateLifecycle(container.lifecycle(), context, path[i] / "lifecycle", errors);
    }
    ValidateProbes(container, context, path[i], errors);
    if (context.is_pod) {
      ValidateRestartRules(container, path[i], errors);
    } else if (container.has_restartpolicy()) {
      errors.Forbidden(path[i] / "restartPolicy", "may not be set for non-init containers");
    }
    if (context.is_pod) {
      CheckImagePadding(container, path[i], errors);
    }
  }
  NameSet host_ports;
  for (int i = 0; i < spec.containers_size(); ++i) {
    CheckHostPorts(spec.containers(i), host_ports, path[i], errors);
  }
}

void ValidateInitContainers(const corev1::PodSpec& spec, const PodContext& context, const Path& path,
                            ErrorList& errors) {
  constexpr std::string_view kNotSidecar = "may not be set for init containers without restartPolicy=Always";
  NameSet names;
  for (const auto& container : spec.containers()) {
    names.insert(container.name());
  }
  for (int i = 0; i < spec.initcontainers_size(); ++i) {
    const auto& container = spec.initcontainers(i);
    const bool is_sidecar = container.restartpolicy() == "Always";
    ValidateContainer(container, context, path[i], errors);
    if (context.is_pod) {
      ValidateRestartRules(container, path[i], errors);
      CheckImagePadding(container, path[i], errors);
    } else if (container.has_restartpolicy()) {
      errors.CheckOneOf(path[i] / "restartPolicy", container.restartpolicy(), {"Always"});
    }
    if (!container.name().empty() && !names.insert(container.name()).second) {
      errors.Duplicate(path[i] / "name", container.name());
    }
    // Init containers run one after the other, so that only a container's own ports can collide. Upstream names the
    // first container here whichever it is; the index of the one that is wrong helps more.
    NameSet host_ports;
    CheckHostPorts(container, host_ports, path[i], errors);
    if (is_sidecar) {
      if (container.has_lifecycle()) {
        ValidateLifecycle(container.lifecycle(), context, path[i] / "lifecycle", errors);
      }
      ValidateProbes(container, context, path[i], errors);
      continue;
    }
    const auto forbid = [&](bool is_set, std::string_view field) {
      if (is_set) {
        errors.Forbidden(path[i] / field, std::string(kNotSidecar));
      }
    };
    forbid(container.has_lifecycle(), "lifecycle");
    forbid(container.has_livenessprobe(), "livenessProbe");
    forbid(container.has_readinessprobe(), "readinessProbe");
    forbid(container.has_startupprobe(), "startupProbe");
    if (!container.resizepolicy().empty()) {
      errors.Invalid(path[i] / "resizePolicy", container.resizepolicy(0).resourcename(),
                     "must not be set for init containers");
    }
  }
}

void ValidateEphemeralContainers(const corev1::PodSpec& spec, const PodContext& context, const Path& path,
                                 ErrorList& errors) {
  constexpr std::string_view kReason = "cannot be set for an Ephemeral Container";
  NameSet lasting;
  for (const auto& container : spec.containers()) {
    lasting.insert(container.name());
  }
  for (const auto& container : spec.initcontainers()) {
    lasting.insert(container.name());
  }
  NameSet names = lasting;
  for (int i = 0; i < spec.ephemeralcontainers_size(); ++i) {
    const corev1::Container container = ToContainer(spec.ephemeralcontainers(i));
    const std::string& target = spec.ephemeralcontainers(i).targetcontainername();
    ValidateContainer(container, context, path[i], errors);
    CheckImagePadding(container, path[i], errors);
    if (!names.insert(container.name()).second) {
      errors.Duplicate(path[i] / "name", container.name());
    }
    if (!target.empty() && !lasting.contains(target)) {
      errors.NotFound(path[i] / "targetContainerName", target);
    }
    const auto forbid = [&](bool is_set, const Path& at) {
      if (is_set) {
        errors.Forbidden(at, std::string(kReason));
      }
    };
    forbid(!container.ports().empty(), path[i] / "ports");
    forbid(container.resources().ByteSizeLong() > 0, path[i] / "resources");
    forbid(!container.resizepolicy().empty(), path[i] / "resizePolicy");
    forbid(container.has_restartpolicy(), path[i] / "restartPolicy");
    forbid(!container.restartpolicyrules().empty(), path[i] / "restartPolicyRules");
    forbid(container.has_livenessprobe(), path[i] / "livenessProbe");
    forbid(container.has_readinessprobe(), path[i] / "readinessProbe");
    forbid(container.has_startupprobe(), path[i] / "startupProbe");
    forbid(container.has_lifecycle(), path[i] / "lifecycle");
    for (int j = 0; j < container.volumemounts_size(); ++j) {
      const Path mount = (path[i] / "volumeMounts")[j];
      forbid(!container.volumemounts(j).subpath().empty(), mount / "subPath");
      forbid(!container.volumemounts(j).subpathexpr().empty(), mount / "subPathExpr");
    }
  }
}

}  // namespace

corev1::Container ToContainer(const corev1::EphemeralContainer& ephemeral) {
  corev1::Container container;
  // Same fields under the same numbers, so that the encoded form of one is that of the other.
  if (!container.ParseFromString(ephemeral.ephemeralcontainercommon().SerializeAsString())) {
    container.Clear();
  }
  return container;
}

void ValidateAllContainers(const corev1::PodSpec& spec, const PodContext& context, const Path& path,
                           ErrorList& errors) {
  ValidateRegularContainers(spec, context, path / "containers", errors);
  ValidateInitContainers(spec, context, path / "initContainers", errors);
  ValidateEphemeralContainers(spec, context, path / "ephemeralContainers", errors);
}

}  // namespace daemonsetd::model::validation
