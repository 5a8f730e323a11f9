// The pods of one DaemonSet on one node: is one missing, which are too many, which have ended. This is the node's own
// part of a DaemonSet's reconciliation (semantics.md section 5, rules 1 to 3); which old pod goes next in a rollout is
// not decided here. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/placement.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

struct DaemonPod {
  std::string id;  // the caller's name for it, which comes back in the verdict
  std::string name;
  bool bound = true;  // spec.nodeName is set
  WallTime created_at{};
  bool terminating = false;
  bool failed = false;
  bool succeeded = false;
  bool updated = false;    // made from the present template
  bool ready = false;      // condition Ready
  bool available = false;  // ready for minReadySeconds
};

// What makes a pod an updated one: its revision label, or the old generation label.
struct CurrentTemplate {
  std::string revision_hash;
  std::optional<std::int64_t> generation;  // of annotation deprecated.daemonset.template.generation
};

// `id` is the pod's UID. `now` is compared with the pod's own transition time.
DaemonPod DaemonPodOf(const corev1::Pod& pod, const CurrentTemplate& current, std::int32_t min_ready_seconds,
                      WallTime now);

// Section 5's order of age: bound pods first, then creation time, then name.
bool IsOlder(const DaemonPod& a, const DaemonPod& b);
// A pod that has ended and is being deleted no longer takes the set's place on the node.
bool TakesPlace(const DaemonPod& pod);
// spec.nodeName, else the one node of the required field term metadata.name; empty: it has no target.
std::string TargetNode(const corev1::Pod& pod);
// RollingUpdate with a maxSurge that is not zero.
bool AllowsSurge(const appsv1::DaemonSet& daemon_set);

struct DaemonSetVerdict {
  struct Deletion {
    std::string id;
    std::string reason;
    bool ends_surge = false;  // old and new are here side by side, and the old one has done its duty
  };
  bool create = false;
  std::vector<Deletion> deletions;
};

// `replace_failed`: the back-off for failed pods is over (failed_pods.h). Without it a failed pod stays where it is.
DaemonSetVerdict ManageDaemonPods(const Placement& placement, std::vector<DaemonPod> pods, bool allows_surge,
                                  bool replace_failed);

// The oldest pod of an older template that has not ended, while none of the present one is here; empty: there is none.
std::string OutdatedPod(const std::vector<DaemonPod>& pods);

}  // namespace daemonsetd::decide
