// The workers of this node's pods, whoever asked for the pods: one for each pod that runs, or has to be stopped, here.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/async/task_scope.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_worker.h"

namespace daemonsetd::pods {

class PodWorkers {
 public:
  // `on_change` is called on the loop when a pod's status changed, and when a pod is finished.
  PodWorkers(PodServices& services, std::function<void()> on_change);

  // Cancels the workers and waits for them; the containers stay as they are.
  Task<void> Close();

  // A pod without a worker, or one that has ended and begins anew. What runs of it already goes on as it is.
  PodWorker& Start(PodIdentity identity, corev1::Pod pod);
  // Of a pod that only the runtime knows, a worker that is good enough to stop it. Null when there is no such pod.
  PodWorker* FindOrTakeOver(const std::string& uid);
  PodWorker* Find(const std::string& uid) const;
  const std::map<std::string, std::unique_ptr<PodWorker>>& all() const { return workers_; }

  // Everything of it is removed from the node. The pod of a manifest is forgotten by itself then, unless it was
  // evicted; one of the API server stays until the server knows what became of it.
  bool HasEnded(const std::string& uid) const { return ended_.contains(uid); }
  // Of an ended pod, or of one that never had a worker: its record goes, and its worker.
  void Forget(const std::string& uid);

  // The machine goes down: no pod starts anything until GoOn, one that is new included.
  void StartNothing(std::string reason);
  void GoOn();

  // The runtime's record of this pod changed. False when nobody here minds it.
  bool RuntimeChanged(const std::string& uid);

 private:
  Task<void> RunWorker(std::string uid);

  PodServices& services_;
  std::function<void()> on_change_;
  async::TaskScope scope_;
  std::map<std::string, std::unique_ptr<PodWorker>> workers_;
  std::string nothing_starts_;   // why; empty: pods start
  std::set<std::string> ended_;  // UIDs of workers that have nothing left to do
};

}  // namespace daemonsetd::pods
