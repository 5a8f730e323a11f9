// What a node does for a DaemonSet, as Events of the DaemonSet, in the words and with the reasons of the DaemonSet
// controller (pkg/controller/daemon).
#pragma once

#include <string>

#include "agent/pods/event_log.h"
#include "agent/pods/hosted.h"
#include "agent/pods/pod_observer.h"
#include "agent/pods/pod_worker.h"

namespace daemonsetd::pods {

void TellCreation(EventLog& events, const appsv1::DaemonSet& daemon_set, const std::string& pod_name);

// A start that admission refuses, once per reason: `hosted.decision` is the decision before this one.
void TellRefusal(EventLog& events, PodObserver& observer, const Hosted& hosted,
                 const decide::WorkloadDecision& decision, const std::string& node_name);

// Whether the DaemonSet belongs on this node, when that is new, in the log alone: of thousands of nodes that do not
// host it, each would send an Event. `hosted.decision` is the decision before this one.
void TellVerdict(const Hosted& hosted, const decide::Placement& placement, const std::string& node_name);

// The end of a pod that nobody but this node asked for; nothing for a pod that no DaemonSet owns. `terminal_phase`:
// "Failed" or "Succeeded" when that is why; else empty.
void TellDeletion(EventLog& events, const PodWorker& worker, const std::string& terminal_phase,
                  const std::string& node_name, const std::string& reason);

}  // namespace daemonsetd::pods
