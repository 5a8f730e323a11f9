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

// Why a pod's object is not there any more, as the caller saw it go.
enum class ObjectLoss {
  kWhileAway,     // absent from a list after a gap: node lifecycle, pod garbage collection (OF-04)
  kDeletionSeen,  // a watch event said DELETED: somebody forced it
  kHistoryLost,   // the server went back in time and a consistent read confirmed it (D3, OF-11)
};

// A pod that has containers here, a worker, or a record in the checkpoint.
struct LocalPod {
  std::string uid;         // the identity in the runtime
  std::string object_uid;  // of the Pod object that it stands for; empty: provisional, there was none yet
  std::string namespace_, name;
  std::string owner_uid;                      // of its DaemonSet; empty: released, or no daemon pod
  std::string template_hash;                  // empty: not known, or written under another version of the hash
  const corev1::Pod* pod = nullptr;           // null when only the runtime knows it
  const corev1::PodStatus* status = nullptr;  // as computed here; null: nothing to report yet
  WallTime created_at{};
  std::optional<WallTime> kill_at;  // of a stop under way
  bool is_static = false;           // from a manifest of this node
  bool has_worker = false;
  bool asleep = false;  // without a worker and a sandbox, as after a boot: to go on with it is to start it
  bool stopping = false;
  bool ended = false;  // no container runs and nothing is left to tear down
  bool ready = false;
  std::string terminal_phase;  // "Succeeded" or "Failed" once it came to its end
  ObjectLoss loss = ObjectLoss::kWhileAway;
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
};

MergePlan MergePods(const MergeInput& input);

}  // namespace daemonsetd::decide
