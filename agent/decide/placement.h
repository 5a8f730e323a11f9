// Does this node host this DaemonSet? Two answers and a reason. Rules: semantics.md section 3.
#pragma once

#include <string>
#include <string_view>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

struct Placement {
  enum class Blocker {
    kNone,
    kNodeName,      // spec.nodeName names another node
    kNodeSelector,  // a nodeSelector entry
    kNodeAffinity,  // no required term matches
    kTaint,         // an untolerated NoSchedule or NoExecute taint
  };
  bool should_run = false;
  bool should_keep_running = false;
  Blocker blocker = Blocker::kNone;
  // One sentence that names the first thing that fails, with both sides; of the taints, a NoExecute one first:
  // `nodeSelector disk=ssd: the node has disk=hdd`, `taint dedicated=db:NoSchedule is not tolerated`,
  // `required node affinity: term 1 of 2 fails at "zone In [a b]" (the node has zone=c); term 2 ...`.
  std::string reason;
};

// "runs here", "does not run here", or what is between the two.
std::string_view VerdictOf(const Placement& placement);

// `template_spec` is the pod template's spec; the tolerations of semantics.md section 2 are added here.
Placement Place(const corev1::PodSpec& template_spec, const corev1::Node& node);

// The taint that keeps ordinary pods off a node where only daemonsetd runs pods (design.md section 2).
inline constexpr char kDaemonSetsOnlyTaint[] = "daemonsetd.dev/daemonsets-only";

// Adds the automatic tolerations in place (semantics.md section 2, merge rule included), and the one for
// kDaemonSetsOnlyTaint.
void AddDaemonTolerations(corev1::PodSpec& spec);

}  // namespace daemonsetd::decide
