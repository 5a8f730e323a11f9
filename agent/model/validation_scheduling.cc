#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

void ValidateNodeExpression(const corev1::NodeSelectorRequirement& requirement, bool check_values, const Path& path,
                            ErrorList& errors) {
  const std::string& operation = requirement.operator_();
  if (operation == "In" || operation == "NotIn") {
    if (requirement.values().empty()) {
      errors.Required(path / "values", "must be specified when `operator` is 'In' or 'NotIn'");
    }
  } else if (operation == "Exists" || operation == "DoesNotExist") {
    if (!requirement.values().empty()) {
      errors.Forbidden(path / "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (operation == "Gt" || operation == "Lt") {
    if (requirement.values_size() != 1) {
      errors.Required(path / "values", "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    errors.Invalid(path / "operator", operation, "not a valid selector operator");
  }
  errors.Check(path / "key", requirement.key(), CheckQualifiedName(requirement.key()));
  for (int i = 0; check_values && i < requirement.values_size(); ++i) {
    errors.Check((path / "values")[i], requirement.values(i), CheckLabelValue(requirement.values(i)));
  }
}

void ValidateNodeField(const corev1::NodeSelectorRequirement& requirement, const Path& path, ErrorList& errors) {
  if (requirement.operator_() != "In" && requirement.operator_() != "NotIn") {
    errors.Invalid(path / "operator", requirement.operator_(), "not a valid selector operator");
  } else if (requirement.values_size() != 1) {
    errors.Required(path / "values",
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  }
  if (requirement.key() != "metadata.name") {
    errors.Invalid(path / "key", requirement.key(), "not a valid field selector key");
    return;
  }
  for (int i = 0; i < requirement.values_size(); ++i) {
    errors.Check((path / "values")[i], requirement.values(i), CheckDns1123Subdomain(requirement.values(i)));
  }
}

void ValidateNodeTerm(const corev1::NodeSelectorTerm& term, bool check_values, const Path& path, ErrorList& errors) {
  for (int i = 0; i < term.matchexpressions_size(); ++i) {
    ValidateNodeExpression(term.matchexpressions(i), check_values, (path / "matchExpressions")[i], errors);
  }
  for (int i = 0; i < term.matchfields_size(); ++i) {
    ValidateNodeField(term.matchfields(i), (path / "matchFields")[i], errors);
  }
}

void CheckWeight(std::int32_t weight, const Path& path, ErrorList& errors) {
  if (weight <= 0 || weight > 100) {
    errors.InvalidNumber(path, weight, "must be in the range 1-100");
  }
}

void ValidateNodeAffinity(const corev1::NodeAffinity& affinity, const Path& path, ErrorList& errors) {
  if (affinity.has_requiredduringschedulingignoredduringexecution()) {
    const auto& required = affinity.requiredduringschedulingignoredduringexecution();
    const Path at = path / "requiredDuringSchedulingIgnoredDuringExecution" / "nodeSelectorTerms";
    if (required.nodeselectorterms().empty()) {
      errors.Required(at, "must have at least one node selector term");
    }
    for (int i = 0; i < required.nodeselectorterms_size(); ++i) {
      ValidateNodeTerm(required.nodeselectorterms(i), true, at[i], errors);
    }
  }
  for (int i = 0; i < affinity.preferredduringschedulingignoredduringexecution_size(); ++i) {
    const auto& preferred = affinity.preferredduringschedulingignoredduringexecution(i);
    const Path at = (path / "preferredDuringSchedulingIgnoredDuringExecution")[i];
    CheckWeight(preferred.weight(), at / "weight", errors);
    ValidateNodeTerm(preferred.preference(), false, at / "preference", errors);
  }
}

template <class Keys>
void CheckLabelKeys(const Keys& keys, bool has_selector, const Path& path, ErrorList& errors) {
  if (!keys.empty() && !has_selector) {
    errors.Forbidden(path, "must not be specified when labelSelector is not set");
    return;
  }
  for (int i = 0; i < keys.size(); ++i) {
    errors.Check(path[i], keys.Get(i), CheckQualifiedName(keys.Get(i)));
  }
}

void ValidatePodTerm(const corev1::PodAffinityTerm& term, const Path& path, ErrorList& errors) {
  ValidateLabelSelector(term.labelselector(), path / "labelSelector", errors);
  ValidateLabelSelector(term.namespaceselector(), path / "namespaceSelector", errors);
  for (const std::string& name : term.namespaces()) {
    errors.Check(path / "namespace", name, CheckDns1123Label(name));
  }
  CheckLabelKeys(term.matchlabelkeys(), term.has_labelselector(), path / "matchLabelKeys", errors);
  CheckLabelKeys(term.mismatchlabelkeys(), term.has_labelselector(), path / "mismatchLabelKeys", errors);
  for (int i = 0; i < term.matchlabelkeys_size(); ++i) {
    const auto& others = term.mismatchlabelkeys();
    if (std::find(others.begin(), others.end(), term.matchlabelkeys(i)) != others.end()) {
      errors.Invalid((path / "matchLabelKeys")[i], term.matchlabelkeys(i),
                     "exists in both matchLabelKeys and mismatchLabelKeys");
    }
  }
  if (term.topologykey().empty()) {
    errors.Required(path / "topologyKey", "can not be empty");
  }
  errors.Check(path / "topologyKey", term.topologykey(), CheckQualifiedName(term.topologykey()));
}

// podAffinity and podAntiAffinity.
template <class PodTerms>
void ValidatePodAffinity(const PodTerms& affinity, const Path& path, ErrorList& errors) {
  for (int i = 0; i < affinity.requiredduringschedulingignoredduringexecution_size(); ++i) {
    ValidatePodTerm(affinity.requiredduringschedulingignoredduringexecution(i),
                    (path / "requiredDuringSchedulingIgnoredDuringExecution")[i], errors);
  }
  for (int i = 0; i < affinity.preferredduringschedulingignoredduringexecution_size(); ++i) {
    const auto& preferred = affinity.preferredduringschedulingignoredduringexecution(i);
    const Path at = (path / "preferredDuringSchedulingIgnoredDuringExecution")[i];
    CheckWeight(preferred.weight(), at / "weight", errors);
    ValidatePodTerm(preferred.podaffinityterm(), at / "podAffinityTerm", errors);
  }
}

void CheckSpreadKeys(const corev1::TopologySpreadConstraint& constraint, const Path& path, ErrorList& errors) {
  if (constraint.matchlabelkeys().empty()) {
    return;
  }
  std::set<std::string_view> selected;
  for (const auto& label : constraint.labelselector().matchlabels()) {
    selected.insert(label.first);
  }
  for (const auto& expression : constraint.labelselector().matchexpressions()) {
    selected.insert(expression.key());
  }
  if (!constraint.has_labelselector()) {
    errors.Forbidden(path, "must not be specified when labelSelector is not set");
  }
  for (int i = 0; i < constraint.matchlabelkeys_size(); ++i) {
    const std::string& key = constraint.matchlabelkeys(i);
    errors.Check(path[i], key, CheckQualifiedName(key));
    if (selected.contains(key)) {
      errors.Invalid(path[i], key, "exists in both matchLabelKeys and labelSelector");
    }
  }
}

}  // namespace

void ValidateAffinity(const corev1::Affinity& affinity, const Path& path, ErrorList& errors) {
  ValidateNodeAffinity(affinity.nodeaffinity(), path / "nodeAffinity", errors);
  ValidatePodAffinity(affinity.podaffinity(), path / "podAffinity", errors);
  ValidatePodAffinity(affinity.podantiaffinity(), path / "podAntiAffinity", errors);
}

void ValidateTolerations(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  for (int i = 0; i < spec.tolerations_size(); ++i) {
    const auto& toleration = spec.tolerations(i);
    const Path at = path[i];
    if (!toleration.key().empty()) {
      errors.Check(at / "key", toleration.key(), CheckQualifiedName(toleration.key()));
    } else if (toleration.operator_() != "Exists") {
      errors.Invalid(at / "operator", toleration.operator_(),
                     "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    }
    if (toleration.has_tolerationseconds() && toleration.effect() != "NoExecute") {
      errors.Invalid(at / "effect", toleration.effect(), "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (toleration.operator_().empty() || toleration.operator_() == "Equal") {
      errors.Check(at / "operator", toleration.value(), CheckLabelValue(toleration.value()));
    } else if (toleration.operator_() != "Exists") {
      errors.NotSupported(at / "operator", toleration.operator_(), {"Equal", "Exists"});
    } else if (!toleration.value().empty()) {
      errors.Invalid(at / "operator", toleration.value(), "value must be empty when `operator` is 'Exists'");
    }
    if (!toleration.effect().empty()) {
      errors.CheckOneOf(at / "effect", toleration.effect(), {"NoSchedule", "PreferNoSchedule", "NoExecute"});
    }
  }
}

void ValidateTopologySpread(const corev1::PodSpec& spec, const Path& path, ErrorList& errors) {
  std::set<std::string, std::less<>> seen;
  for (int i = 0; i < spec.topologyspreadconstraints_size(); ++i) {
    const auto& constraint = spec.topologyspreadconstraints(i);
    const Path at = path[i];
    if (constraint.maxskew() <= 0) {
      errors.InvalidNumber(at / "maxSkew", constraint.maxskew(), "must be greater than zero");
    }
    if (constraint.topologykey().empty()) {
      errors.Required(at / "topologyKey", "can not be empty");
    }
    errors.CheckOneOf(at / "whenUnsatisfiable", constraint.whenunsatisfiable(), {"DoNotSchedule", "ScheduleAnyway"});
    std::string pair = "{" + constraint.topologykey() + ", " + constraint.whenunsatisfiable() + "}";
    if (!seen.insert(pair).second) {
      errors.Duplicate(at / "{topologyKey, whenUnsatisfiable}", pair);
    }
    if (constraint.has_mindomains()) {
      if (constraint.mindomains() <= 0) {
        errors.InvalidNumber(at / "minDomains", constraint.mindomains(), "must be greater than zero");
      }
      if (constraint.whenunsatisfiable() != "DoNotSchedule") {
        errors.InvalidNumber(
            at / "minDomains", constraint.mindomains(),
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " + constraint.whenunsatisfiable());
      }
    }
    if (constraint.has_nodeaffinitypolicy()) {
      errors.CheckOneOf(at / "nodeAffinityPolicy", constraint.nodeaffinitypolicy(), {"Honor", "Ignore"});
    }
    if (constraint.has_nodetaintspolicy()) {
      errors.CheckOneOf(at / "nodeTaintsPolicy", constraint.nodetaintspolicy(), {"Honor", "Ignore"});
    }
    CheckSpreadKeys(constraint, at / "matchLabelKeys", errors);
    ValidateLabelSelector(constraint.labelselector(), at / "labelSelector", errors);
  }
}

}  // namespace daemonsetd::model::validation
