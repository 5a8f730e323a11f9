// What to write to a Pod's status, if anything. Pure.
#pragma once

#include <optional>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// `ours`: ComputePodStatus's answer. The result is the object's status with our part replaced: conditions of other
// types (readiness gates) and fields that a node does not report stay. A terminal phase is never taken back (LC-23).
// Unset when the object says all that already.
std::optional<corev1::PodStatus> PodStatusToWrite(const corev1::Pod& object, const corev1::PodStatus& ours);

}  // namespace daemonsetd::decide
