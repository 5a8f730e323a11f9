// The merge of what the API server says of this node's pods with what runs here. Reconnecting, restarting and every
// event go through it: observe, merge, carry out, merge again. Pure, level based, each action safe to repeat; when all
// are carried out, the next merge has none (design.md sections 2 to 4 and 7).
//
// What may start is said as far as the sources go: room on the node (Admit, MakeRoom) is asked by whoever starts it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/daemon_set_pods.h"
#include "agent/decide/local_pod.h"
#include "agent/decide/pod_merge_actions.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

enum class PodSource {
  kLocal,     // the agent makes the pods of DaemonSets that belong here
  kBound,     // others make and bind them; the agent runs those of DaemonSets
  kBoundAll,  // and every other pod bound to this node
};

// What is known of a source. Nothing is ever deleted or stopped for what a source lacks unless it is kComplete.
enum class Knowledge {
  kWaiting,     // not heard, and still worth waiting for: nothing starts from it
  kCached,      // from the checkpoint, the wait is over: it may start what it knows
  kRolledBack,  // a list older than one seen before, not confirmed yet (D3): nothing starts, nothing ends by it
  kComplete,    // listed to the end once since the start, and followed since
};

// On an old pod, written by the coordinator of a rollout with maxSurge: the revision hash that may start beside it.
inline constexpr char kSurgeAnnotation[] = "daemonsetd.dev/surge";

// A DaemonSet, which outlives the merge.
struct MergeSet {
  const appsv1::DaemonSet* daemon_set = nullptr;
  std::string template_hash;   // TemplateHash, or the revision label that its pods carry
  bool replace_failed = true;  // failed_pods.h
  bool may_stop = true;        // false: that it does not belong here is too new a verdict to stop a pod by (PL-06)
};

struct MergeInput {
  PodSource source = PodSource::kLocal;
  const corev1::Node* node = nullptr;  // null: not known, so nothing is placed and nothing judged
  std::string node_name;
  std::string node_uid;  // of the registered Node; empty: not registered, so there are no mirrors yet
  Knowledge daemon_sets = Knowledge::kWaiting;
  Knowledge objects = Knowledge::kWaiting;
  bool runtime_listed = false;      // `local` is complete; without it there is no plan at all
  bool manifests_complete = false;  // the static pods among `local` are all there are
  bool server_reachable = false;    // writes can be expected to arrive
  WallTime now{};                   // on the server's clock, as far as it is known
  std::vector<MergeSet> sets;
  std::vector<const corev1::Pod*> pods;  // Pod objects bound to this node, answers to our own POSTs included
  std::vector<LocalPod> local;
};

struct MergePlan {
  std::vector<MergeAction> actions;      // in the order in which to carry them out
  std::vector<Placement> placements;     // one per set; only kLocal fills it
  std::vector<std::string> waiting_for;  // one per set, one sentence each; empty: nothing is missing
  // One per set: the UID of a pod here that an older template made, while none of the present one is here yet and the
  // node should run one, so that its images are wanted. Empty: there is no such pod.
  std::vector<std::string> outdated;
};

MergePlan MergePods(const MergeInput& input);

}  // namespace daemonsetd::decide
