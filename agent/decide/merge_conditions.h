// How a status takes over the conditions of one writer. Pure.
#pragma once

#include <algorithm>

namespace daemonsetd::decide {

// Conditions of the types in `ours` are replaced in place; those of other writers stay, and so does their order.
// Status: corev1::PodStatus, corev1::NodeStatus.
template <class Status>
void MergeConditions(const Status& ours, Status& status) {
  for (const auto& condition : ours.conditions()) {
    const auto old = std::find_if(status.mutable_conditions()->begin(), status.mutable_conditions()->end(),
                                  [&](const auto& other) { return other.type() == condition.type(); });
    (old != status.mutable_conditions()->end() ? *old : *status.add_conditions()) = condition;
  }
}

}  // namespace daemonsetd::decide
