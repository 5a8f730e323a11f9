// From the state of the pods to what the local interface tells. Reads, decides nothing.
#pragma once

#include <memory>
#include <string>

#include "agent/local/server.h"
#include "agent/local/snapshot.h"
#include "agent/manifests/source.h"
#include "agent/pods/event_log.h"
#include "agent/pods/hosted.h"
#include "agent/pods/pod_workers.h"
#include "agent/pods/runtime_view.h"
#include "agent/service/status_line.h"

namespace daemonsetd {

// What the snapshot tells beside the state of the pods.
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
  std::string shutdown_problem;     // pods have less time than they are meant to have; empty while all is well
  std::string api_server;           // "not configured", or where it is and how it does
  std::string coordinator;          // who coordinates rollouts, as far as it is known here; may be empty
  std::string certificate_problem;  // the same of the client certificate
  std::string api_server_problem;   // what a person must act upon; empty while all is well
};

// What is told about. `hosted`: the DaemonSets and static Pods of every source.
struct SnapshotSources {
  const pods::PodWorkers& workers;
  std::vector<const pods::Hosted*> hosted;
  const pods::RuntimeView& view;
  const manifests::Snapshot& manifests;
  const pods::EventLog& events;
  const corev1::Node& node;
  const AgentFacts& facts;
};

std::shared_ptr<const local::Snapshot> BuildSnapshot(const SnapshotSources& sources);

// Of the same, what a service manager shows: without the price of a whole snapshot.
service::StatusFacts BuildStatusFacts(const SnapshotSources& sources);

// Where the log of a container is, from what the runtime reports.
Result<local::LogSource> FindContainerLog(const pods::PodWorkers& workers, const pods::RuntimeView& view,
                                          const pods::Directories& directories, const local::LogRequest& request);

}  // namespace daemonsetd
