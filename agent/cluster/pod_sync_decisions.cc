// What PodSync tells of its decisions: to the log, to whoever counts, and to those who ask why.
#include <algorithm>

#include "agent/cluster/pod_sync.h"
#include "agent/pods/daemon_set_events.h"

namespace daemonsetd::cluster {

// Before what follows from them.
void PodSync::TellVerdicts(const Round& round, const decide::MergePlan& plan) const {
  if (settings_.source != decide::PodSource::kLocal || round.input.node == nullptr) return;
  for (std::size_t i = 0; i < round.sets.size(); ++i) {
    pods::TellVerdict(round.sets[i]->hosted, plan.placements[i], settings_.node_name);
  }
}

void PodSync::TimePermit(Set& set, bool outdated) {
  const MonoTime now = services_.timeline.mono();
  if (outdated && !set.hosted.workload.on_delete) {
    if (!set.outdated_since) set.outdated_since = now;
  } else if (set.outdated_since) {
    services_.observer->PermitCame(now - *set.outdated_since);
    set.outdated_since.reset();
  }
}

PodSync::AwaitedPermits PodSync::Awaited() const {
  AwaitedPermits awaited;
  const MonoTime now = services_.timeline.mono();
  for (const auto& [uid, set] : sets_) {
    if (!set.outdated_since) continue;
    ++awaited.pods;
    awaited.longest = std::max(awaited.longest, now - *set.outdated_since);
  }
  return awaited;
}

void PodSync::TellDecisions(const Round& round, const decide::MergePlan& plan) {
  const bool decided = settings_.source == decide::PodSource::kLocal && round.input.node != nullptr;
  for (std::size_t i = 0; i < round.sets.size(); ++i) {
    Set& set = *round.sets[i];
    decide::WorkloadDecision decision{.placement = plan.placements[i], .waiting_for = plan.waiting_for[i]};
    const std::string& uid = set.hosted.workload.uid;
    for (const auto& [worker_uid, worker] : workers_.all()) {
      if (worker->identity().owner_uid != uid || workers_.HasEnded(worker_uid)) continue;
      if (decision.pod_uid.empty() || !worker->terminating()) decision.pod_uid = worker_uid;
    }
    if (const auto admission = admissions_.find(uid); admission != admissions_.end()) {
      decision.admission = admission->second;
      if (!decision.admission.admitted) decision.waiting_for = decision.admission.message;
    } else {
      decision.admission.admitted = !decision.pod_uid.empty();
    }
    if (decision.waiting_for.empty()) decision.waiting_for = set.verdict.waiting_for;
    if (decision.waiting_for.empty()) decision.waiting_for = queue_.ErrorOf(CreationKey(set));
    if (decision.waiting_for.empty()) decision.waiting_for = AwaitedByOldPod(set, plan.outdated[i]);
    if (!decided && decision.waiting_for.empty()) decision.waiting_for = "the Node object";
    TimePermit(set, !plan.outdated[i].empty());
    pods::TellRefusal(services_.events, *services_.observer, set.hosted, decision, settings_.node_name);
    set.hosted.decision = std::move(decision);
    set.hosted.image_error = prefetch_.ErrorOf(uid);
  }
}

}  // namespace daemonsetd::cluster
