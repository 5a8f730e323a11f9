// A pod of this node as a merge sees it (pod_merge.h), and what its containers were made from. Pure.
#pragma once

#include <optional>
#include <string>

#include "agent/base/time_point.h"
#include "agent/decide/pod_memory.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

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
  bool available = false;      // ready for the minReadySeconds of its set, on this machine's own clock (RO-03)
  std::string terminal_phase;  // "Succeeded" or "Failed" once it came to its end
  std::optional<PodEnd> end;   // where this node ended it, and only the checkpoint tells
  ObjectLoss loss = ObjectLoss::kWhileAway;
};

Seconds GraceOf(const LocalPod& local);

// May the containers of `local` stand for this object? Made from the same template, or running the same.
bool SamePod(const LocalPod& local, const corev1::Pod& object);

// The object's label says that the present template made the pod, and its sandbox and its containers say that another
// one did (RO-18): somebody changed the label. Only of pods that an agent made: their labels were the truth once.
bool IsMislabelled(const LocalPod& local, const corev1::Pod& object, const corev1::PodTemplateSpec& present,
                   const std::string& present_hash);

}  // namespace daemonsetd::decide
