// Stops the pods of a machine that goes down, in the order of decide/shutdown.h, and lets them go on if it does not.
#pragma once

#include <functional>

#include "agent/decide/shutdown.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd::pods {

class PodShutdown {
 public:
  PodShutdown(PodServices& services, PodWorkers& workers) : services_(services), workers_(workers) {}

  // Nothing starts from now on. Completes when nothing runs any more, when the periods are over, or when `called_off`
  // answers true, whichever comes first.
  Task<void> Stop(decide::ShutdownPeriods periods, std::function<bool()> called_off);
  void GoOn();

 private:
  std::vector<decide::ShutdownGroup> Order() const;
  // `deadline`: when the group has to be gone.
  void StopGroup(const decide::ShutdownGroup& group, MonoTime deadline);
  bool AtRest(const decide::ShutdownGroup& group) const;

  PodServices& services_;
  PodWorkers& workers_;
};

}  // namespace daemonsetd::pods
