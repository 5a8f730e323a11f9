// Metrics of what the parts of the agent know at the moment of a scrape: nothing is kept for them.
#pragma once

#include "agent/cluster/api_server.h"
#include "agent/local/metrics.h"
#include "agent/pods/pod_workers.h"
#include "agent/pods/runtime_view.h"
#include "agent/rollout/coordinator.h"
#include "agent/store/store.h"

namespace daemonsetd {

struct StateSources {
  const pods::PodWorkers& workers;
  const pods::RuntimeView& view;
  const store::Store& store;
  const cluster::ApiServer* api_server;     // null without one
  const rollout::Coordinator* coordinator;  // null where this agent does not coordinate
};

void WriteStateMetrics(const StateSources& sources, local::MetricsText& text);

}  // namespace daemonsetd
