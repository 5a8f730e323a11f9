// Which pods of its manifests this node runs: reads the sources, plans the node, and starts and stops workers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/decide/failed_pods.h"
#include "agent/decide/node_plan.h"
#include "agent/pods/hosted.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd::pods {

// An object and the file that it came from; defaulted and validated, with a UID that a restart finds again.
struct DaemonSetSource {
  std::string file;
  appsv1::DaemonSet object;
};
struct PodSource {
  std::string file;
  corev1::Pod object;
};

class Supervisor {
 public:
  // `on_change` is called on the loop when anything that a status tells has changed.
  Supervisor(PodServices& services, PodWorkers& workers, std::function<void()> on_change);

  // Until cancelled; the containers stay as they are.
  Task<void> Run();

  // A complete new picture of what the sources ask for. `complete` false: nothing is stopped for lack of an owner.
  void SetSources(const std::vector<DaemonSetSource>& daemon_sets, const std::vector<PodSource>& pods, bool complete);
  // Stops the pod gracefully; one that still is asked for gets a successor. Answers the names of the pods that stop.
  // kAbsent: no such object here. kConflict: there is no pod that could be stopped, and why.
  Result<std::vector<std::string>> RestartDaemonSet(const std::string& object_namespace, const std::string& name);
  Result<std::vector<std::string>> RestartPod(const std::string& object_namespace, const std::string& name);

  // The node's labels, taints or allocatable changed, or what runs here did.
  void Notify() { wake_.Notify(); }

  const std::vector<Hosted>& workloads() const { return workloads_; }

 private:
  void Reconcile();
  std::vector<decide::KnownPod> KnownPods();
  corev1::Pod MakePod(const Hosted& hosted, std::uint32_t sequence) const;
  void RefreshNextPod(Hosted& hosted);
  void ForgetRecords();
  void RestoreEvicted();
  // How long a set waits before another pod takes an evicted one's place.
  void JudgeEvicted();
  bool MayBeReplaced(const std::string& uid, const PodWorker& worker) const;
  void ReplaceEvicted(const std::string& owner_uid);
  void Replace(const std::string& uid, const std::string& reason);
  void Stop(const std::string& uid, const std::string& reason);
  void Pull(std::size_t index);
  Task<void> PullImages(std::string uid, corev1::PodSpec spec, std::string template_hash);

  PodServices& services_;
  PodWorkers& workers_;
  std::function<void()> on_change_;
  async::Wake wake_;
  async::TaskScope pulls_scope_;
  std::vector<Hosted> workloads_;
  // By owner UID: sets with a pod that was evicted.
  struct Evicted {
    decide::FailedPodMemory memory;
    decide::FailedPodVerdict verdict;
  };
  std::map<std::string, Evicted> evicted_;
  std::optional<MonoTime> look_again_;
  bool complete_ = false;
  std::map<std::string, std::string> pulls_;   // by owner UID: the template hash being pulled
  std::map<std::string, std::string> pulled_;  // by owner UID: the template hash whose images are present
};

}  // namespace daemonsetd::pods
