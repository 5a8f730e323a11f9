// A DaemonSet or static Pod as this node sees it, and what was decided of it: what `explain` and `describe` tell.
#pragma once

#include <string>

#include "agent/base/time_point.h"
#include "agent/decide/node_plan.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

struct Hosted {
  decide::Workload workload;
  decide::WorkloadDecision decision;
  appsv1::DaemonSet daemon_set;  // of a DaemonSet
  std::string source;            // the manifest's file, or "API server"
  WallTime first_seen;
  std::string image_error;  // why the images of a new template are not here yet
};

// "namespace/name".
std::string NameOf(const decide::Workload& workload);
// The same of a DaemonSet; empty for a static Pod.
std::string DaemonSetOf(const Hosted& hosted);

// Not decided yet. `source` as in Hosted.
Hosted MakeHosted(const appsv1::DaemonSet& daemon_set, std::string source);

}  // namespace daemonsetd::pods
