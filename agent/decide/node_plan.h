// The node plan: which pods of which workloads start, stop or are adopted on this node. Pure and level based:
// computed anew from everything that is known, whenever anything changed. Rules: semantics.md section 5, design.md 5.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/decide/admission.h"
#include "agent/decide/placement.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// A DaemonSet, or a static Pod, which is placed like a DaemonSet that tolerates everything (as the kubelet treats it).
struct Workload {
  enum class Kind { kDaemonSet, kPod };
  Kind kind;
  std::string uid;
  std::string namespace_;
  std::string name;
  std::string template_hash;
  std::string restart_hash;         // empty: every change of the template needs a new pod
  bool on_delete = false;           // updateStrategy OnDelete: a new template waits for somebody to delete the pod
  bool images_present = false;      // every image of this template is on the node
  std::uint32_t next_sequence = 0;  // of the pod that would be made now
  corev1::Pod next_pod;             // that pod
  corev1::PodSpec placement_spec;   // the template as written: next_pod is pinned to this node already
};

// A pod that has a worker, or that was found in the runtime with our labels.
struct KnownPod {
  std::string uid;
  std::string owner_uid;
  std::string template_hash;
  std::string restart_hash;
  int hash_version = 0;
  std::uint32_t sequence = 0;
  std::int64_t created_at = 0;  // nanoseconds since the epoch
  bool has_worker = false;
  bool elsewhere = false;  // asked for by the API server: it takes room, and is not this plan's to judge
  bool terminating = false;
  bool terminal = false;             // Succeeded or Failed: holds no resources
  bool healthy = false;              // ready, or all containers running where the spec is not known
  const corev1::Pod* pod = nullptr;  // null when only the runtime knows it
};

struct WorkloadDecision {
  Placement placement;
  Admission admission;      // as of the last attempt to start; admitted when a pod is here
  std::string pod_uid;      // the pod that stands for the workload now; empty when there is none
  std::string waiting_for;  // one sentence; empty when nothing is missing
};

struct NodePlan {
  struct Start {
    std::size_t workload;
  };
  struct Adopt {
    std::size_t workload;
    std::string uid;
    std::uint32_t sequence;
  };
  // The running pod takes the new template as it is: only resources of containers changed.
  struct Update {
    std::size_t workload;
    std::string uid;
  };
  struct Stop {
    std::string uid;
    std::string reason;
  };
  std::vector<Start> starts;
  std::vector<Adopt> adoptions;
  std::vector<Update> updates;
  std::vector<Stop> stops;
  std::vector<std::size_t> pulls;           // workloads whose images should be fetched while the old pod runs
  std::vector<WorkloadDecision> decisions;  // one per workload, same order
};

// `complete`: the sources have been read completely once. Before that nothing is stopped for lack of an owner.
// By pointer, for this runs often and a workload is large.
NodePlan PlanNode(const corev1::Node& node, const std::vector<const Workload*>& workloads,
                  const std::vector<KnownPod>& pods, bool complete);

}  // namespace daemonsetd::decide
