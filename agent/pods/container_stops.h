// Stops of containers, each on one clock: the preStop hook, SIGTERM and the wait for the end all come out of the same
// grace period (LC-19), and a shorter one that comes later takes effect, also while the hook runs (LC-20).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/pods/pod_events.h"
#include "agent/pods/pod_services.h"

namespace daemonsetd::pods {

struct ProbeTarget;

class ContainerStops {
 public:
  // The references must outlive it. No Stop may be under way at destruction.
  ContainerStops(PodServices& services, const corev1::Pod& pod, PodEvents& events);
  ~ContainerStops();

  // One call per container at a time. Success also when the container is gone.
  // A zero grace goes to SIGKILL at once, without the hook. Throws operation_aborted when the caller is cancelled.
  Task<Status> Stop(decide::StopContainer action);

  // True when the container's preStop hook is under way: its stop now has to end at `kill_at`, if that is sooner.
  bool Hurry(const std::string& container_id, MonoTime kill_at);

 private:
  struct Hook;

  Task<void> RunPreStop(std::string container_id, std::string container, MonoTime* kill_at);
  Task<void> RunHook(std::shared_ptr<Hook> hook, corev1::LifecycleHandler handler, ProbeTarget target);

  PodServices& services_;
  const corev1::Pod& pod_;
  PodEvents& events_;
  std::map<std::string, std::shared_ptr<Hook>> hooks_;  // by container ID: those under way
};

}  // namespace daemonsetd::pods
