// What the API server asks of this node's pods, carried out: merges its DaemonSets and Pods with what runs here
// (decide/pod_merge.h), starts and stops workers, and asks for the writes that the merge wants. Level based: every wake
// looks at everything anew. Everything on the loop thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/wake.h"
#include "agent/cluster/image_prefetch.h"
#include "agent/cluster/pod_writes.h"
#include "agent/cluster/server_view.h"
#include "agent/cluster/write_queue.h"
#include "agent/decide/failed_pods.h"
#include "agent/decide/pod_merge.h"
#include "agent/decide/ready_since.h"
#include "agent/decide/start_order.h"
#include "agent/pods/hosted.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd::cluster {

// What PodSync has to know of this node's Node object.
struct NodeState {
  const corev1::Node* node = nullptr;  // null: not known, so nothing is placed
  std::string uid;                     // of the registered Node; empty: not registered
  bool claimed = false;                // the name is ours
  bool refused = false;                // somebody alive holds it: nothing of the API server runs here
};

struct PodSyncSettings {
  std::string node_name;
  decide::PodSource source = decide::PodSource::kLocal;
  // Called on the loop with the images that the DaemonSets placed here name, under the runtime's names for them, when
  // these are others, or when one that was missing has come.
  std::function<void(const std::set<std::string>&)> on_images = [](const std::set<std::string>&) {};
};

class PodSync {
 public:
  // The references must outlive it. `on_change` is called on the loop when what it tells has changed.
  PodSync(pods::PodServices& services, pods::PodWorkers& workers, ServerView& server, kube::Client& client,
          std::function<NodeState()> node, PodSyncSettings settings, std::function<void()> on_change);

  // Until cancelled; the containers stay as they are. The workers are the caller's to close.
  Task<void> Run();
  // What is known of the server, the Node, the runtime or a pod has changed.
  void Notify() { wake_.Notify(); }
  // No manifest is waited for any more: what the manifests' supervisor runs is all there is.
  void SetManifestsComplete(bool complete) { manifests_complete_ = complete; }

  // The DaemonSets of the API server, and what this node makes of them.
  std::vector<const pods::Hosted*> Workloads() const;

  // Pods of an older template that wait for their turn in a rolling update.
  struct AwaitedPermits {
    int pods = 0;
    Nanoseconds longest = Nanoseconds::zero();
  };
  AwaitedPermits Awaited() const;

  // Everything that is asked for is known: the server's lists, the manifests and what runs.
  bool complete() const;
  // A write to the server has no answer yet.
  bool writes() const { return queue_.AnyUnderWay(); }
  // Every pod that this node runs, and one of each DaemonSet that it may have to start.
  std::vector<std::shared_ptr<const corev1::Pod>> HostedPods() const;

  // As `kubectl delete pod`, and where the server cannot be asked, a restart in place. Answers the names of the pods.
  // kAbsent: no such object here. kConflict: there is no pod that could be stopped, and why.
  Result<std::vector<std::string>> RestartDaemonSet(const std::string& name_space, const std::string& name);
  Result<std::vector<std::string>> RestartPod(const std::string& name_space, const std::string& name);

 private:
  struct Set {
    ServerView::DaemonSetPtr object;
    pods::Hosted hosted;
    std::set<std::string> images;  // of its template, under the runtime's names for them
    decide::FailedPodMemory failed;
    decide::FailedPodVerdict verdict;
    std::optional<MonoTime> unwanted_since;  // by the verdict of each merge since then
    std::optional<MonoTime> outdated_since;  // its pod waits for its turn
  };
  // One look at everything: what the parts of a round share. Points into what is held here and in the workers.
  struct Round {
    decide::MergeInput input;
    std::map<std::string, ServerView::PodPtr> by_uid;  // the Pods of the input
    std::vector<Set*> sets;                            // as input.sets
  };
  struct Wish;

  void Reconcile();
  Round Look(const NodeState& node);
  void TakeSets(const std::vector<ServerView::DaemonSetPtr>& objects);
  void NoteReadiness(const Now& now, std::vector<decide::LocalPod>& local);
  void LookAgainAt(MonoTime when);
  void JudgeFailures(Round& round);
  void FollowLabels(const Round& round);
  void Carry(const Round& round, const decide::MergePlan& plan);
  void Start(const Round& round, std::vector<Wish> wishes);
  void StartWorker(const Round& round, const Wish& wish);
  void Refuse(const Round& round, const Wish& wish, const decide::StartAnswer& answer);
  void MakeRoom(const decide::StartAnswer& answer, const corev1::Pod& important);
  std::vector<decide::PreemptionCandidate> HoldingRoom() const;
  void Adopt(const Round& round, const decide::merge::AdoptPod& adopt);
  void GoOnWith(const Set& set, const std::string& provisional_uid);
  void TellAdoption(const corev1::Pod& object);
  void AskFor(const Round& round, const decide::merge::CreateObject& create);
  void AskFor(const Round& round, const decide::merge::CreateMirror& create);
  void AskFor(const Round& round, const decide::merge::WriteStatus& write);
  void AskFor(const Round& round, const decide::merge::RelabelObject& relabel);
  void AskForDeletion(decide::merge::DeleteObject deletion);
  void AskForOwner(const Round& round, const std::string& object_uid, const Set* claimed_by,
                   const std::string& release);
  Task<Status> DeleteAndTell(decide::merge::DeleteObject deletion);
  Task<Status> RelabelAndTell(corev1::Pod object, std::string template_hash);
  Task<Status> CreateAndTell(corev1::Pod pod, appsv1::DaemonSet owner, std::uint32_t sequence);
  static std::string CreationKey(const Set& set);
  void Stop(pods::PodWorker& worker, const std::string& reason);
  void FetchImages(const Round& round, const decide::MergePlan& plan);
  std::string AwaitedByOldPod(const Set& set, const std::string& outdated) const;
  void TimeVerdicts(const Round& round, const decide::MergePlan& plan);
  void TellVerdicts(const Round& round, const decide::MergePlan& plan) const;
  void TimePermit(Set& set, bool outdated);
  void TellDecisions(const Round& round, const decide::MergePlan& plan);
  void ForgetOldSets(const Round& round);
  corev1::Pod NextPod(const Set& set) const;
  corev1::Pod MakePod(const Set& set, std::uint32_t sequence) const;

  pods::PodServices& services_;
  pods::PodWorkers& workers_;
  ServerView& server_;
  std::function<NodeState()> node_;
  const PodSyncSettings settings_;
  std::function<void()> on_change_;
  PodWrites writes_;
  WriteQueue queue_;
  ImagePrefetch prefetch_;
  async::Wake wake_;
  bool manifests_complete_ = false;
  std::map<std::string, Set> sets_;                      // by UID
  std::map<std::string, decide::Admission> admissions_;  // of this round, by owner UID
  std::map<std::string, ServerView::PodPtr> followed_;   // by the worker's UID: the object whose labels it has
  std::map<std::string, std::string> refusals_;          // by object UID: what was told last
  std::map<std::string, std::optional<decide::ReadySight>> ready_;  // by the worker's UID
  std::set<std::string> named_images_;                              // as last told
  int fetched_templates_ = 0;                                       // by then
  std::optional<MonoTime> look_again_;
};

}  // namespace daemonsetd::cluster
