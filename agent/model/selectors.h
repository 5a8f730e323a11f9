// Label selectors, node selectors, taints and tolerations: the matching rules of semantics.md sections 3.1 and 3.2.
#pragma once

#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::model {

using Labels = google::protobuf::Map<std::string, std::string>;

// metav1.LabelSelector. A null selector matches nothing, an empty one everything. kInvalid: an unknown operator.
Result<bool> Matches(const metav1::LabelSelector& selector, const Labels& labels);

// One requirement of a node selector term's matchExpressions. False for a requirement the API would refuse.
bool MatchesExpression(const corev1::NodeSelectorRequirement& requirement, const Labels& labels);
// One requirement of matchFields: only metadata.name, In or NotIn, exactly one value.
bool MatchesField(const corev1::NodeSelectorRequirement& requirement, const std::string& node_name);

// Does this toleration cover this taint? Lt and Gt never do (the upstream gate is off by default).
bool Tolerates(const corev1::Toleration& toleration, const corev1::Taint& taint);

// "key=value:Effect", "key:Effect" without a value.
std::string ToString(const corev1::Taint& taint);
// "zone In [a b]", "gpu Exists", "cores Gt 8".
std::string ToString(const corev1::NodeSelectorRequirement& requirement);

}  // namespace daemonsetd::model
