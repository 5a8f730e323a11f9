// What somebody who asks for a restart means: the workers of the pods that are to stop, so that others take their
// place.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/pods/hosted.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd::pods {

inline constexpr char kRestartReason[] = "a restart was asked for";

// Of the DaemonSet of this name among `hosted`. kAbsent: there is none. kConflict: it has no pod that could be stopped,
// and why.
Result<std::vector<PodWorker*>> DaemonSetToRestart(const PodWorkers& workers, const std::vector<const Hosted*>& hosted,
                                                   const std::string& name_space, const std::string& name);

// Of the manifests' pods, or of the API server's. kAbsent: there is none of this name. kConflict: it stops already.
Result<PodWorker*> PodToRestart(const PodWorkers& workers, bool from_api_server, const std::string& name_space,
                                const std::string& name);

}  // namespace daemonsetd::pods
