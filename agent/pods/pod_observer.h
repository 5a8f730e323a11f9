// What the engine of the pods did, told to whoever counts it. Every call is on the loop, and none may call back. Words
// come from small fixed sets: they become labels of metrics.
#pragma once

#include <string_view>

#include "agent/base/time_point.h"

namespace daemonsetd::pods {

// Minds nothing; overridden by who does.
class PodObserver {
 public:
  PodObserver() = default;
  virtual ~PodObserver() = default;
  PodObserver(const PodObserver&) = delete;
  PodObserver& operator=(const PodObserver&) = delete;

  // A sandbox of a pod was made, or could not be.
  virtual void PodStarted(bool /*succeeded*/) {}
  // A container was started, or could not be. `type`: "container" or "init_container"; `reason` is Kubernetes' word for
  // the failure, empty for success. `again`: an earlier attempt of it had run.
  virtual void ContainerStarted(std::string_view /*type*/, std::string_view /*reason*/, bool /*again*/) {}
  // A pod that was started here runs for the first time. `whole`: since this agent first had it; `own`: the same
  // without what the agent has no part in, the pulls of its images and its init containers.
  virtual void PodRuns(Nanoseconds /*whole*/, Nanoseconds /*own*/) {}
  // One operation of a pod's worker ended. `type`: "create", "update" or "terminate".
  virtual void WorkerOperation(std::string_view /*type*/, Nanoseconds /*took*/) {}
  // `type`: "Startup", "Liveness" or "Readiness"; `result`: "successful", "failed" or "unknown".
  virtual void Probed(std::string_view /*type*/, std::string_view /*result*/) {}
  // A pod of an older template has got its turn to be replaced, or it ended while it waited.
  virtual void PermitCame(Nanoseconds /*waited*/) {}
  // A pod that only the runtime knew is taken over, so that it can be stopped.
  virtual void OrphanFound() {}
  // `reason` is admission's word: "OutOfcpu", "NodePorts".
  virtual void AdmissionRefused(std::string_view /*reason*/) {}
};

}  // namespace daemonsetd::pods
