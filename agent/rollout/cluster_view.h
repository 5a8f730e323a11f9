// What the coordinator sees of the cluster: every Node, every pod that belongs to a DaemonSet, every
// ControllerRevision, and which nodes are dead. Watched only while this agent coordinates; kept to the fields that its
// decisions read, a few hundred bytes a pod. Everything on the loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/decide/node_lease.h"
#include "agent/decide/ready_since.h"
#include "agent/kube/reflector.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::rollout {

struct NodeSight {
  std::shared_ptr<const corev1::Node> node;  // labels, taints, Ready; images by their canonical names
  std::set<std::string> images;
  std::optional<WallTime> dead_since;  // unset: alive
};

struct PodSight {
  std::shared_ptr<const corev1::Pod> pod;
  std::optional<decide::ReadySight> ready;
};

class ClusterView {
 public:
  // What may have changed since it was told last. `all`: of every DaemonSet.
  struct Changes {
    bool all = false;
    std::set<std::string> daemon_sets;  // by UID
    std::set<std::string> namespaces;   // whose revisions have changed
  };

  // `client` and `timeline` must outlive it. `on_change` is called on the loop when TakeChanges() has something.
  ClusterView(async::Executor executor, async::Timeline& timeline, kube::Client& client, std::function<double()> random,
              std::function<void()> on_change);

  // Watches until cancelled. Once.
  Task<void> Run();

  // Every list came to its end, and the Leases were looked at: before that nothing may be concluded (ST-05).
  bool complete() const;
  // Changes arrive: what is missing of that makes it unfit to decide by.
  bool live() const { return nodes_.live() && pods_.live() && revisions_.live(); }
  // Why not; empty while all is well.
  std::string problem() const;

  Changes TakeChanges();

  const std::map<std::string, NodeSight>& nodes() const { return by_name_; }
  // Of this DaemonSet, by UID.
  const std::map<std::string, PodSight>& PodsOf(const std::string& daemon_set_uid) const;
  std::vector<std::shared_ptr<const appsv1::ControllerRevision>> RevisionsIn(const std::string& ns) const;

 private:
  using Lease = coordinationv1::Lease;
  using Names = std::map<kube::NamespacedName, std::string>;

  void NodeChanged(const kube::NamespacedName& name);
  void PodChanged(const kube::NamespacedName& name);
  void RevisionChanged(const kube::NamespacedName& name);
  void Listed();
  Task<void> LookAtLeases();
  Task<Status> LookOnce();
  void JudgeNodes();
  std::optional<WallTime> DeadSince(const std::string& name, const corev1::Node& node) const;

  async::Executor executor_;
  async::Timeline& timeline_;
  kube::Client& client_;
  std::function<void()> on_change_;
  kube::Reflector<corev1::Node> nodes_;
  kube::Reflector<corev1::Pod> pods_;
  kube::Reflector<appsv1::ControllerRevision> revisions_;
  Changes changes_;
  std::map<std::string, NodeSight> by_name_;
  std::map<std::string, std::map<std::string, PodSight>> by_owner_;  // DaemonSet UID → pod UID
  struct PodPlace {
    std::string owner, uid;
  };
  std::map<kube::NamespacedName, PodPlace> places_;
  std::optional<MonoTime> pods_seen_since_;
  struct LeaseState {
    decide::LeaseSight sight;
    std::optional<WallTime> dead_since;
  };
  std::map<std::string, LeaseState> leases_;  // by node
  bool leases_seen_ = false;
  std::string lease_problem_;
};

}  // namespace daemonsetd::rollout
