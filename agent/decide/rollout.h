// Which old pod of a DaemonSet goes next: the whole decision of a rolling update, over the nodes of the cluster
// (semantics.md section 6; where design.md section 5 is stricter, it holds). Pure, level based: after each step, and
// after a new coordinator took over, it is asked anew.
//
// Strict budget: every desired node without an available pod counts, broken old pods included, so that however many bad
// updates follow each other, never more than maxUnavailable healthy pods are lost to them (RO-01). Old pods that are
// not ready are replaced first; that costs nothing (RO-16). One that is ready and not available yet counts, and still
// waits for its turn: a longer minReadySeconds makes every pod such a one. Dead nodes that did not take the new version
// are set aside (RO-02); one that died with it counts, since the new version may be what killed it.
//
// The input may lag behind the server, as watches do. What keeps the budget then is the caller's:
// - before steps it reads the DaemonSet anew, and it has the same generation;
// - each write names the pod's UID and resourceVersion, and is made only while the coordinator's Lease holds;
// - its own accepted writes show in the input at once, and after an answer that is lost it looks before it plans again;
// - a pod that gets available by the passing of time alone (minReadySeconds) is read anew when it does: what spoiled it
//   meanwhile may not have been heard yet.
// tests/unit/decide/rollout_simulation_test.cc shows what happens without each of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/decide/daemon_set_pods.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

struct RolloutNode {
  std::string name;
  bool should_run = false;   // Placement::should_run
  bool dead = false;         // its Ready condition is not True, or its Lease has run out
  bool dead_before = false;  // and that since before this rollout began
  bool has_images = false;   // it reports every image of the new template
  bool surge_asked = false;  // a live old pod carries kSurgeAnnotation with the present hash, or our write was accepted
  // Of this DaemonSet on this node. Those of a dead node are neither ready nor available, whatever their objects say;
  // those whose deletion was accepted are terminating, though no watch has shown it yet.
  std::vector<DaemonPod> pods;
};

struct RolloutInput {
  const appsv1::DaemonSet* daemon_set = nullptr;
  std::vector<RolloutNode> nodes;  // each once; any order
  // Nodes are still fetching the images: healthy pods of nodes that lack them stay for now (design.md: pull before
  // stop). A node without images for ever does not hold up the rollout: the caller ends the wait.
  bool wait_for_images = false;
};

struct RolloutStep {
  enum class Kind {
    kDelete,  // delete the Pod object gracefully; its node makes the new one
    kSurge,   // put kSurgeAnnotation on it; its node makes the new one beside it
  };
  Kind kind = Kind::kDelete;
  std::string node;
  std::string pod_id;
  std::string reason;  // "its template changed (node 2 of 3 that may be unavailable)": for the log and an Event
  bool operator==(const RolloutStep&) const = default;
};

// Where a rollout stands. Numbers of nodes; names sorted.
struct RolloutProgress {
  std::int32_t desired = 0;
  std::int32_t updated = 0;   // with an available pod of the new template and no other
  std::int32_t outdated = 0;  // not set aside, and with a pod of an old template
  std::int32_t max_unavailable = 0;
  std::int32_t max_surge = 0;
  std::int32_t unavailable = 0;           // as the budget counts them: without the nodes that are set aside
  std::vector<std::string> set_aside;     // dead, and this rollout has nothing to do with it
  std::vector<std::string> dead_updated;  // dead with the new version, or on the way to it: they hold up the rollout
  std::vector<std::string> broken;        // alive, and its pod is missing or not available
  bool rolling = false;                   // RollingUpdate: pods are replaced without anybody's hands
  bool images_awaited = false;            // healthy pods stay for their nodes' images only
  bool complete = false;                  // every desired node that is not set aside is updated
  std::string refusal;                    // why this strategy can never be carried out; empty: it can
};

struct RolloutPlan {
  std::vector<RolloutStep> steps;  // to be taken in this order; all of them may be taken now
  RolloutProgress progress;
};

// OnDelete has no steps, and complete as above; so has a DaemonSet that is being deleted.
RolloutPlan PlanRollout(const RolloutInput& input);

// With maxSurge two pods of one template meet on a node, which cannot be where it takes ports of the host (RO-06,
// RO-07). One sentence that names the port; empty: nothing stands against it.
std::string SurgeConflict(const appsv1::DaemonSet& daemon_set);

}  // namespace daemonsetd::decide
