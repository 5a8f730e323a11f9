// What a Pod object says of itself. Pure.
#pragma once

#include <string>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// "namespace/name", for texts.
std::string NameOf(const corev1::Pod& pod);

// The owner with `controller: true`; null when there is none.
const metav1::OwnerReference* ControllerOf(const metav1::ObjectMeta& metadata);
// UID of the DaemonSet that controls it; empty: none does.
std::string DaemonSetOf(const corev1::Pod& pod);

bool IsTerminal(const corev1::Pod& pod);     // Succeeded or Failed
bool IsTerminating(const corev1::Pod& pod);  // somebody asked for its deletion
bool IsLive(const corev1::Pod& pod);         // neither

// No agent made it: it lacks the annotation with the agent's sequence number.
bool MadeElsewhere(const corev1::Pod& pod);

// What a POST that met an object of the same name leads to.
enum class Existing {
  kAdopt,         // an earlier POST of ours arrived
  kWait,          // it is ours and being deleted: its name is free when it is gone
  kNextSequence,  // somebody else's
};
Existing ResolveExisting(const corev1::Pod& existing, const std::string& owner_uid, const std::string& node_name);

// Seconds that are left of a deletion under way: at least 1, at most its grace period.
Seconds RemainingGrace(const corev1::Pod& terminating, WallTime now);

}  // namespace daemonsetd::decide
