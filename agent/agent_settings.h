// What each part of the agent is told of the configuration.
#pragma once

#include <string>

#include "agent/cluster/api_server.h"
#include "agent/config/config.h"
#include "agent/decide/shutdown.h"
#include "agent/local/server.h"
#include "agent/manifests/source.h"
#include "agent/node/facts.h"
#include "agent/node_pressure.h"
#include "agent/pods/garbage/image_collector.h"
#include "agent/pods/images.h"
#include "agent/pods/logs/log_rotator.h"
#include "agent/pods/runtime_view.h"
#include "agent/pods/supervisor.h"

namespace daemonsetd {

// As the Node object has it: "v0.1.0".
std::string ReportedVersion();
std::string CheckpointDirectory(const config::Message& config);
pods::Directories DirectoriesOf(const config::Message& config);
// Of an endpoint that validation let pass: "unix:///path".
std::string SocketPath(const std::string& endpoint);
pods::RuntimeViewSettings ViewSettingsOf(const config::Config& config);
pods::PullSettings PullSettingsOf(const config::Config& config);
pods::ImageCollectorSettings ImageCollectionOf(const config::Config& config);
pods::LogRotationSettings LogRotationOf(const config::Config& config);
pods::PodSettings PodSettingsOf(const config::Config& config, const node::MachineFacts& machine);
manifests::SourceOptions SourceOptionsOf(const config::Config& config);
NodePressureSettings NodePressureOf(const config::Config& config);
decide::ShutdownPeriods ShutdownPeriodsOf(const config::Config& config);
local::ServerOptions ServerOptionsOf(const config::Config& config);
cluster::ApiServerSettings ApiServerSettingsOf(const config::Config& config, const node::MachineFacts& machine);

}  // namespace daemonsetd
