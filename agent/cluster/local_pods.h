// This node's pods as a merge compares them with the API server's: from the workers, the runtime and the checkpoint.
#pragma once

#include <vector>

#include "agent/cluster/server_view.h"
#include "agent/decide/pod_merge.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd::cluster {

// Complete once the runtime was listed. They point into the workers, and hold until one of these changes.
std::vector<decide::LocalPod> LocalPods(const pods::PodServices& services, const pods::PodWorkers& workers,
                                        const ServerView& server);

}  // namespace daemonsetd::cluster
