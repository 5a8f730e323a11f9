#include "agent/pods/restart.h"

#include <algorithm>

#include <fmt/format.h>

namespace daemonsetd::pods {

Result<std::vector<PodWorker*>> DaemonSetToRestart(const PodWorkers& workers, const std::vector<const Hosted*>& hosted,
                                                   const std::string& name_space, const std::string& name) {
  const auto found = std::find_if(hosted.begin(), hosted.end(), [&](const Hosted* one) {
    return one->workload.kind == decide::Workload::Kind::kDaemonSet && one->workload.namespace_ == name_space &&
           one->workload.name == name;
  });
  if (found == hosted.end()) {
    return Error(ErrorKind::kAbsent, fmt::format("no DaemonSet {}/{} on this node", name_space, name));
  }
  std::vector<PodWorker*> stopping;
  for (const auto& [uid, worker] : workers.all()) {
    if (worker->identity().owner_uid == (*found)->workload.uid && !worker->terminating()) {
      stopping.push_back(worker.get());
    }
  }
  if (!stopping.empty()) return stopping;
  const std::string& reason = (*found)->decision.waiting_for;
  return Error(ErrorKind::kConflict, fmt::format("DaemonSet {}/{} has no pod to restart on this node{}{}", name_space,
                                                 name, reason.empty() ? "" : ", it waits for ", reason));
}

Result<PodWorker*> PodToRestart(const PodWorkers& workers, bool from_api_server, const std::string& name_space,
                                const std::string& name) {
  std::string stopping;
  for (const auto& [uid, worker] : workers.all()) {
    const metav1::ObjectMeta& metadata = worker->pod().metadata();
    if (metadata.namespace_() != name_space || metadata.name() != name) continue;
    if (worker->identity().from_api_server != from_api_server) continue;
    if (!worker->terminating()) return worker.get();
    stopping = worker->termination_reason();
  }
  if (!stopping.empty()) {
    return Error(ErrorKind::kConflict, fmt::format("pod {}/{} stops already: {}", name_space, name, stopping));
  }
  return Error(ErrorKind::kAbsent, fmt::format("no pod {}/{} on this node", name_space, name));
}

}  // namespace daemonsetd::pods
