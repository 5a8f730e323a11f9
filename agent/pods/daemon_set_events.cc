#include "agent/pods/daemon_set_events.h"

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::pods {

using decide::Workload;

void TellCreation(EventLog& events, const appsv1::DaemonSet& daemon_set, const std::string& pod_name) {
  events.Record(decide::ReferenceTo(daemon_set), EventType::kNormal, "SuccessfulCreate", "Created pod: " + pod_name);
}

void TellRefusal(EventLog& events, PodObserver& observer, const Hosted& hosted,
                 const decide::WorkloadDecision& decision, const std::string& node_name) {
  const std::string& message = decision.admission.message;
  if (decision.admission.admitted || message.empty() || message == hosted.decision.admission.message) return;
  observer.AdmissionRefused(decision.admission.reason);
  const bool daemon_set = hosted.workload.kind == Workload::Kind::kDaemonSet;
  log::Warning("no room for a pod on this node", {{daemon_set ? "daemonSet" : "pod", NameOf(hosted.workload)},
                                                  {"node", node_name},
                                                  {"reason", decision.admission.reason},
                                                  {"err", message}});
  if (!daemon_set) return;
  events.Record(decide::ReferenceTo(hosted.daemon_set), EventType::kWarning, "FailedPlacement",
                fmt::format("failed to place pod on \"{}\": {}", node_name, message));
}

void TellVerdict(const Hosted& hosted, const decide::Placement& placement, const std::string& node_name) {
  if (hosted.workload.kind != Workload::Kind::kDaemonSet) return;
  const decide::Placement& before = hosted.decision.placement;
  if (placement.should_run == before.should_run && placement.should_keep_running == before.should_keep_running &&
      placement.reason == before.reason) {
    return;
  }
  log::Info("placement of a DaemonSet", {{"daemonSet", NameOf(hosted.workload)},
                                         {"node", node_name},
                                         {"verdict", decide::VerdictOf(placement)},
                                         {"reason", placement.reason}});
}

void TellDeletion(EventLog& events, const PodWorker& worker, const std::string& terminal_phase,
                  const std::string& node_name, const std::string& reason) {
  const PodIdentity& identity = worker.identity();
  if (identity.daemon_set_uid().empty()) return;
  const corev1::Pod& pod = worker.pod();
  appsv1::DaemonSet owner;
  owner.mutable_metadata()->set_namespace_(pod.metadata().namespace_());
  owner.mutable_metadata()->set_name(identity.owner_name);
  owner.mutable_metadata()->set_uid(identity.owner_uid);
  const corev1::ObjectReference about = decide::ReferenceTo(owner);
  if (!terminal_phase.empty()) {
    const bool failed = terminal_phase == "Failed";
    events.Record(about, failed ? EventType::kWarning : EventType::kNormal,
                  failed ? "FailedDaemonPod" : "SucceededDaemonPod",
                  fmt::format("Found {} daemon pod {} on node {}, will try to {} it", failed ? "failed" : "succeeded",
                              decide::NameOf(pod), node_name, failed ? "kill" : "delete"));
  }
  // The reason is ours: nobody can ask a controller here (PL-06).
  events.Record(about, EventType::kNormal, "SuccessfulDelete",
                fmt::format("Deleted pod: {} ({})", pod.metadata().name(), reason));
}

}  // namespace daemonsetd::pods
