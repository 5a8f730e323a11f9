// Pods that are gone and left their directories: the agent ended before it had taken them down. They are taken down by
// a worker, as a pod that stops, so that mounts, logs and IDs go in the same order and with the same patience. Nothing
// goes before every source of pods was read completely, and nothing without our mark (sandbox_dirs.h). Everything on
// the loop thread.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "agent/base/trouble.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd::pods {

class OrphanedPods {
 public:
  // `complete`: every source of pods is known. The references must outlive it.
  OrphanedPods(PodServices& services, PodWorkers& workers, std::function<bool()> complete);

  // Looks until cancelled.
  Task<void> Run();
  Task<Status> Look();

  // Pods whose leftovers were taken down since the start.
  int taken_down() const { return taken_down_; }

 private:
  PodServices& services_;
  PodWorkers& workers_;
  std::function<bool()> complete_;
  int taken_down_ = 0;
  Trouble trouble_;
};

}  // namespace daemonsetd::pods
