#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/quantity.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

constexpr std::string_view kHugePages = "hugepages-";

bool IsHugePages(std::string_view name) { return name.starts_with(kHugePages); }

// Names without a prefix and names of kubernetes.io belong to Kubernetes.
bool IsNative(std::string_view name) {
  return name.find('/') == std::string_view::npos || name.find("kubernetes.io/") != std::string_view::npos;
}

bool IsOvercommitAllowed(std::string_view name) { return IsNative(name) && !IsHugePages(name); }

bool IsExtended(std::string_view name) {
  return !IsNative(name) && !name.starts_with("requests.") &&
         CheckQualifiedName("requests." + std::string(name)).empty();
}

bool IsForContainers(std::string_view name) {
  return name == "cpu" || name == "memory" || name == "ephemeral-storage" || IsHugePages(name);
}

// Every unprefixed name that means something somewhere in the API; not all of them to containers.
bool IsStandard(std::string_view name) {
  constexpr std::string_view kNames[] = {"configmaps",
                                         "limits.cpu",
                                         "limits.ephemeral-storage",
                                         "limits.memory",
                                         "persistentvolumeclaims",
                                         "pods",
                                         "replicationcontrollers",
                                         "requests.cpu",
                                         "requests.ephemeral-storage",
                                         "requests.memory",
                                         "requests.storage",
                                         "resourcequotas",
                                         "secrets",
                                         "services",
                                         "services.loadbalancers",
                                         "services.nodeports",
                                         "storage"};
  return IsForContainers(name) || name.starts_with("requests.hugepages-") ||
         std::ranges::find(kNames, name) != std::end(kNames);
}

bool IsForPods(std::string_view name) { return name == "cpu" || name == "memory" || IsHugePages(name); }

void CheckName(std::string_view name, const Path& path, ErrorList& errors) {
  errors.Check(path, name, CheckQualifiedName(name));
  if (name.find('/') == std::string_view::npos) {
    if (!IsStandard(name)) {
      errors.Invalid(path, name, "must be a standard resource type or fully qualified");
    }
    if (!IsForContainers(name)) {
      errors.Invalid(path, name, "must be a standard resource for containers");
    }
  } else if (!IsNative(name) && !IsExtended(name)) {
    errors.Invalid(path, name, "doesn't follow extended resource name standard");
  }
}

bool IsMultipleOfPage(std::string_view name, const Quantity& quantity) {
  const auto page = Quantity::Parse(name.substr(kHugePages.size()));
  return page && page->Value() > 0 && quantity.Value() % page->Value() == 0;
}

void CheckQuantity(std::string_view name, const resourcev1::Quantity& message, const Path& path, ErrorList& errors) {
  const auto quantity = Quantity::Parse(message.string());
  if (!quantity) {
    errors.Invalid(path, message.string(), "must be a quantity, such as 100m, 0.5, 128Mi or 1G");
    return;
  }
  if (quantity->Sign() < 0) {
    errors.Invalid(path, message.string(), "must be greater than or equal to 0");
  }
  if (IsExtended(name) && quantity->MilliValue() % 1000 != 0) {
    errors.Invalid(path, message.string(), "must be an integer");
  }
  if (IsHugePages(name) && !IsMultipleOfPage(name, *quantity)) {
    errors.Invalid(path, message.string(),
                   message.string() + " is not positive integer multiple of " + std::string(name));
  }
}

void CheckRequestAgainstLimit(const std::string& name, const corev1::ResourceRequirements& resources, const Path& path,
                              ErrorList& errors) {
  const auto limit = resources.limits().find(name);
  if (limit == resources.limits().end()) {
    if (!IsOvercommitAllowed(name)) {
      errors.Required(path / "limits", "Limit must be set for non overcommitable resources");
    }
    return;
  }
  const std::string& request = resources.requests().at(name).string();
  const auto requested = Quantity::Parse(request);
  const auto allowed = Quantity::Parse(limit->second.string());
  if (!requested || !allowed) {
    return;  // already refused above
  }
  const int order = requested->Compare(*allowed);
  if (order != 0 && !IsOvercommitAllowed(name)) {
    errors.Invalid(path / "requests", request, "must be equal to " + name + " limit of " + limit->second.string());
  } else if (order > 0) {
    errors.Invalid(path / "requests", request,
                   "must be less than or equal to " + name + " limit of " + limit->second.string());
  }
}

void CheckClaims(const corev1::ResourceRequirements& resources, const PodContext& context, const Path& path,
                 ErrorList& errors) {
  std::set<std::string, std::less<>> seen;
  for (int i = 0; i < resources.claims_size(); ++i) {
    const auto& claim = resources.claims(i);
    if (claim.name().empty()) {
      errors.Required(path[i]);
      continue;
    }
    std::string key = claim.name();
    if (!claim.request().empty()) {
      errors.Check(path[i] / "request", claim.request(), CheckDns1123Label(claim.request()));
      key += "/" + claim.request();
    }
    // A claim as a whole overlaps with each of its requests.
    const auto overlaps = [&](const std::string& other) {
      return other == key || other == claim.name() || (claim.request().empty() && other.starts_with(key + "/"));
    };
    if (std::ranges::any_of(seen, overlaps)) {
      errors.Duplicate(path[i], key);
    }
    seen.insert(key);
    if (!context.claim_names.contains(claim.name())) {
      std::string names;
      for (const std::string& name : context.claim_names) {
        names += (names.empty() ? ": " : ", ") + name;
      }
      errors.NotFound(path[i], claim.name(),
                      "must be one of the names in pod.spec.resourceClaims" +
                          (names.empty() ? std::string(" which is empty") : names));
    }
  }
}

void ValidateRequirements(const corev1::ResourceRequirements& resources, const PodContext& context, const Path& path,
                          ErrorList& errors) {
  bool has_huge_pages = false;
  bool has_compute = false;
  const auto note = [&](std::string_view name) {
    has_huge_pages = has_huge_pages || IsHugePages(name);
    has_compute = has_compute || name == "cpu" || name == "memory";
  };
  for (const std::string& name : SortedKeys(resources.limits())) {
    const Path at = (path / "limits").Key(name);
    CheckName(name, at, errors);
    CheckQuantity(name, resources.limits().at(name), at, errors);
    note(name);
  }
  for (const std::string& name : SortedKeys(resources.requests())) {
    const Path at = (path / "requests").Key(name);
    CheckName(name, at, errors);
    CheckQuantity(name, resources.requests().at(name), at, errors);
    CheckRequestAgainstLimit(name, resources, path, errors);
    note(name);
  }
  if (has_huge_pages && !has_compute) {
    errors.Forbidden(path, "HugePages require cpu or memory");
  }
  CheckClaims(resources, context, path / "claims", errors);
}

// Containers may not promise themselves more than the pod has.
void CheckPodLimits(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  for (const std::string& name : SortedKeys(spec.resources().limits())) {
    const auto allowed = Quantity::Parse(spec.resources().limits().at(name).string());
    for (int i = 0; allowed && i < spec.containers_size(); ++i) {
      const auto& limits = spec.containers(i).resources().limits();
      const auto limit = limits.find(name);
      if (limit == limits.end()) {
        continue;
      }
      if (const auto value = Quantity::Parse(limit->second.string()); value && value->Compare(*allowed) > 0) {
        errors.Invalid((path / "containers")[i].Key(name) / "limits", limit->second.string(),
                       "must be less than or equal to pod limits of " + allowed->Canonical());
      }
    }
  }
  for (const std::string& name : SortedKeys(spec.resources().requests())) {
    const std::string& text = spec.resources().requests().at(name).string();
    const auto granted = Quantity::Parse(text);
    Quantity sum;
    for (const auto& container : spec.containers()) {
      const auto request = container.resources().requests().find(name);
      if (request != container.resources().requests().end()) {
        sum += Quantity::From(request->second);
      }
    }
    if (granted && sum.Compare(*granted) > 0) {
      errors.Invalid((path / "requests").Key(name), text,
                     "must be greater than or equal to aggregate container requests of " + sum.Canonical());
    }
  }
}

}  // namespace

void ValidateContainerResources(const corev1::ResourceRequirements& resources, const PodContext& context,
                                const Path& path, ErrorList& errors) {
  ValidateRequirements(resources, context, path, errors);
}

void ValidateOverhead(const QuantityMap& overhead, const PodContext& context, const Path& path, ErrorList& errors) {
  corev1::ResourceRequirements resources;
  *resources.mutable_limits() = overhead;
  ValidateRequirements(resources, context, path, errors);
}

// The reference checks pod-level resources of a Pod only. A template's are checked for the names that exist, since here
// no later write of the pod would find a request above its limit.
void ValidatePodResources(const corev1::PodSpec& spec, const PodContext& context, const Path& path, ErrorList& errors) {
  const auto& resources = spec.resources();
  if (context.is_pod && !resources.claims().empty()) {
    errors.Forbidden(path / "claims", "claims cannot be set for Resources at pod-level");
  }
  const auto check = [&](const QuantityMap& list, std::string_view field) {
    for (const std::string& name : SortedKeys(list)) {
      const Path at = (path / field).Key(name);
      if (IsForPods(name)) {
        CheckQuantity(name, list.at(name), at, errors);
      } else if (context.is_pod) {
        errors.NotSupported(at, name, {"cpu", "hugepages-*", "memory"});
      }
    }
  };
  check(resources.limits(), "limits");
  check(resources.requests(), "requests");
  for (const std::string& name : SortedKeys(resources.requests())) {
    if (IsForPods(name)) {
      CheckRequestAgainstLimit(name, resources, path, errors);
    }
  }
  CheckPodLimits(spec, path, errors);
}

}  // namespace daemonsetd::model::validation
