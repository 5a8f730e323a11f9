// One pod's control loop: observe, plan, start what the plan says, publish the status, wait for the next wake-up.
// Phases only go forward: running → terminating → finished. A grace period only shrinks.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/decide/pod_memory.h"
#include "agent/decide/pod_plan.h"
#include "agent/decide/pod_status.h"
#include "agent/pods/pod_identity.h"
#include "agent/pods/pod_operations.h"
#include "agent/pods/pod_probes.h"
#include "agent/pods/pod_services.h"

namespace daemonsetd::pods {

class PodWorker {
 public:
  // `on_change` is called on the loop when the pod's status changed.
  PodWorker(PodServices& services, PodIdentity identity, corev1::Pod pod, std::function<void()> on_change);

  // Until the pod is finished (everything removed), or cancelled (containers stay as they are).
  Task<void> Run();

  // The runtime's record of this pod changed.
  void Notify() { wake_.Notify(); }
  // Stops the pod. A second call can only make the end come sooner.
  void Terminate(Seconds grace, std::string reason);

  // Ends the pod for the node's sake: it is Failed for that reason, and nothing stays of it but its status. Without a
  // word to a pod that ends already.
  void Evict(Seconds grace, decide::PodEnd end);
  // The disk is full: dead containers that are only kept to be looked at go.
  void SpareDisk();

  // The machine goes down: what runs goes on, nothing starts. Without a word to a pod that is being terminated.
  void StartNothing(std::string reason);
  // After StartNothing: containers and sandbox stop, the rest of the pod stays.
  void Rest(Seconds grace);
  // It does not go down after all.
  void GoOn();
  // After Rest, when nothing of it runs any more.
  bool at_rest() const { return at_rest_; }

  // Whose it is from now on, and which object it stands for; nothing is touched.
  void SetOwner(std::string kind, std::string name, std::string uid);
  void SetObject(std::string object_uid);
  // Labels, annotations and generation as its object has them now; files of the downward API follow.
  void SetLabels(const corev1::Pod& object);

  // The same pod from a template that differs only in what can change under running containers.
  void Update(const corev1::Pod& pod, std::string template_hash);

  const corev1::Pod& pod() const { return pod_; }  // with its current status
  const PodIdentity& identity() const { return identity_; }
  // One sentence for people; empty when nothing is missing.
  std::string waiting_for() const;
  const std::string& termination_reason() const { return intent_.reason; }
  bool terminating() const { return intent_.terminate; }
  bool terminal() const { return !memory_.terminal_phase.empty(); }
  const std::string& terminal_phase() const { return memory_.terminal_phase; }  // empty: it has not come to its end
  bool evicted() const { return memory_.end.has_value(); }
  bool finished() const { return finished_; }
  std::optional<MonoTime> kill_at() const { return intent_.terminate ? std::optional(intent_.kill_at) : std::nullopt; }
  WallTime start_time() const { return facts_.start_time; }
  // How old the objects are that it was started with; unset when they are the API server's present ones (VO-10).
  std::optional<WallTime> objects_cached_since() const { return operations_.objects().cached_since(); }

 private:
  bool Stops() const;
  void Launch(decide::Action action);
  Task<void> Perform(decide::Action action, std::string key, int generation);
  void Ended(const decide::Action& action, const std::string& key, int generation, const Outcome& outcome);
  void Created(const std::string& container, const std::string& container_id);
  void ObjectsChanged();
  void HookEnded(const decide::RunPostStart& hook, const Outcome& outcome);
  void ReadLastWords(const decide::ObservedPod& observed);
  Task<void> ReadLastWord(cri::v1::ContainerStatus status);
  void KeepRecord(const decide::ObservedPod& observed);
  void LinkLogs(const decide::ObservedPod& observed);
  // Tells the observer of a start that ended.
  void TellStart(const decide::Action& action, const Outcome& outcome);
  void TellRuns(const decide::ObservedPod& observed);
  corev1::PodStatus StatusNow(const decide::ObservedPod& observed);
  void PublishStatus(const decide::ObservedPod& observed, bool news);

  PodServices& services_;
  PodIdentity identity_;
  corev1::Pod pod_;
  std::function<void()> on_change_;
  decide::PodIntent intent_;
  decide::PodMemory memory_;
  PodEvents events_;
  PodOperations operations_;
  PodProbes probes_;
  decide::StatusFacts facts_;
  async::Wake wake_;
  async::TaskScope starts_;  // cancelled by Terminate
  async::TaskScope others_;
  std::map<std::string, int> generations_;  // an operation that was replaced ends without a word
  std::set<std::string> linked_;            // containers whose log link is in place
  std::string waiting_for_;
  const MonoTime began_;
  bool started_here_ = false;  // and does not run yet; an adopted pod was started in an earlier life
  bool at_rest_ = false;
  bool finished_ = false;
};

}  // namespace daemonsetd::pods
