// What the API server says of DaemonSets and of this node's Pods: as watched, as this agent's own writes were answered
// meanwhile, and, before the first complete list, as the checkpoint has it. Everything on the loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/cluster/object_cache.h"
#include "agent/decide/pod_merge.h"
#include "agent/kube/reflector.h"
#include "agent/kube/typed_resources.h"
#include "agent/store/store.h"

namespace daemonsetd::cluster {

struct ServerViewSettings {
  std::string node_name;
  bool watch_daemon_sets = true;  // pods of other sources than `local` are made by others
  // How long a first answer is waited for before the checkpoint counts.
  Nanoseconds start_wait = std::chrono::seconds(5);
};

class ServerView {
 public:
  using DaemonSetPtr = std::shared_ptr<const appsv1::DaemonSet>;
  using PodPtr = std::shared_ptr<const corev1::Pod>;

  // The references must outlive it. `on_change` is called on the loop when any answer below may be another.
  ServerView(async::Executor executor, async::Timeline& timeline, kube::Client& client, std::function<double()> random,
             store::Store& store, ObjectCache& cache, ServerViewSettings settings, std::function<void()> on_change);

  // Watches until cancelled.
  Task<void> Run();

  // Answers came lately: writes can be expected to arrive.
  bool reachable() const { return daemon_sets_.live() || pods_.live(); }
  // Why not; empty while all is well.
  std::string last_error() const;

  // How long ago the server last said that the oldest DaemonSet in use is as it is here; zero while changes are told.
  Nanoseconds SpecAge() const;

  decide::Knowledge daemon_sets_known() const;
  decide::Knowledge pods_known() const;
  std::vector<DaemonSetPtr> DaemonSets() const;
  std::vector<PodPtr> Pods() const;
  // Why this object, which was here before, is not there any more.
  decide::ObjectLoss LossOf(const std::string& uid) const;
  void ForgetLoss(const std::string& uid) { lost_.erase(uid); }

  // The server's answer to a write: what it says holds until the watch shows it, or something newer.
  void Wrote(const corev1::Pod& pod);

 private:
  Task<void> WaitForServer();
  void DaemonSetChanged(const kube::NamespacedName& name);
  void DaemonSetsListed();
  void PodChanged(const kube::NamespacedName& name);
  void PodsListed();
  void StateChanged();
  decide::Knowledge KnownAs(bool synced) const;
  void KeepPod(const corev1::Pod& pod);
  void KeepPositions();
  void KeepPosition(const char* resource, const std::string& newest);
  std::string Position(const char* resource) const;

  async::Executor executor_;
  async::Timeline& timeline_;
  store::Store& store_;
  ObjectCache& cache_;
  const ServerViewSettings settings_;
  std::function<void()> on_change_;
  kube::Reflector<appsv1::DaemonSet> daemon_sets_;
  kube::Reflector<corev1::Pod> pods_;
  bool waited_ = false;
  std::optional<WallTime> cached_since_;   // the oldest of cached_sets_
  std::vector<DaemonSetPtr> cached_sets_;  // of the checkpoint; empty once the lists are complete
  std::vector<PodPtr> cached_pods_;
  std::map<kube::NamespacedName, std::string> uids_;  // of Pod objects that are known to exist
  std::map<std::string, decide::ObjectLoss> lost_;    // by UID
  mutable std::map<kube::NamespacedName, PodPtr> answers_;
};

}  // namespace daemonsetd::cluster
