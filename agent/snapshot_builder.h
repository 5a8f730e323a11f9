// From the supervisor's state to what the local interface tells. Reads, decides nothing.
#pragma once

#include <memory>
#include <string>

#include "agent/local/server.h"
#include "agent/local/snapshot.h"
#include "agent/manifests/source.h"
#include "agent/pods/event_log.h"
#include "agent/pods/supervisor.h"

namespace daemonsetd {

// What the snapshot tells beside the supervisor's own state.
struct AgentFacts {
  WallTime start_time;
  std::string runtime_name;
  std::string runtime_version;
  std::string runtime_endpoint;
  WallTime runtime_since;  // when the runtime last came or went
  std::string manifest_directory;
  std::vector<std::string> warnings;
  std::string mount_problem;                   // ends with a runtime that has the same mounts
  std::vector<std::string> warnings_of_start;  // a reload does not end them
  std::string checkpoint_problem;              // empty while it is written
};

std::shared_ptr<const local::Snapshot> BuildSnapshot(const pods::Supervisor& supervisor, const pods::RuntimeView& view,
                                                     const manifests::Snapshot& manifests, const pods::EventLog& events,
                                                     const corev1::Node& node, const AgentFacts& facts);

// Where the log of a container is, from what the runtime reports.
Result<local::LogSource> FindContainerLog(const pods::Supervisor& supervisor, const pods::RuntimeView& view,
                                          const pods::Directories& directories, const local::LogRequest& request);

}  // namespace daemonsetd
