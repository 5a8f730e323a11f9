// A status's conditions: one by its type, and how a status takes over those of one writer. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace daemonsetd::decide {

// Null when there is none. Status: of a Pod, a Node or a DaemonSet; the condition belongs to it.
template <class Status>
auto FindCondition(const Status& status, std::string_view type) {
  const auto found = std::find_if(status.conditions().begin(), status.conditions().end(),
                                  [&](const auto& condition) { return condition.type() == type; });
  return found == status.conditions().end() ? nullptr : &*found;
}

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
