// Everything that the local interface tells, as one immutable value. The agent builds a new one after each change;
// readers keep the one they started with, so a slow reader delays nothing.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/decide/event_aggregation.h"
#include "agent/decide/liveness.h"
#include "agent/local/status_json.h"
#include "agent/model/kubernetes.h"
#include "status.pb.h"

namespace daemonsetd::local {

using decide::HealthCheck;

// Lists are sorted by namespace and name (the agent's duty). No field changes while nothing happens, so that equal
// states give equal texts: moments, not ages.
struct Snapshot {
  statusv1::Status status;
  statusv1::DaemonSetList daemon_sets;
  statusv1::PodSummaryList pods;
  statusv1::NodeStatus node;
  statusv1::ExplanationList explanations;
  corev1::PodList pod_list;  // answers /pods, as the kubelet does
  std::vector<HealthCheck> readiness;
  std::vector<std::shared_ptr<const decide::LoggedEvent>> events;  // newest last
};

enum class Resource { kStatus, kDaemonSets, kPods, kNode, kExplanations, kEvents };

// Empty fields match everything.
struct Selection {
  std::string object_namespace;
  std::string name;  // of an event: of what it is about
  std::string kind;  // of events alone: what they are about
};

// The body of GET /v1/<resource>, one line of JSON with a line end. `selection` does not apply to status and node.
std::string Render(const Snapshot& snapshot, Resource resource, const Selection& selection = {});

// The objects of `resource` as key ("namespace/name") and message, valid while `snapshot` lives. Feeds DiffObjects.
std::vector<std::pair<std::string, const google::protobuf::Message*>> Objects(const Snapshot& snapshot,
                                                                              Resource resource,
                                                                              const Selection& selection);

// What a watcher was told last, by key; of events only how far.
using Known = std::map<std::string, std::string>;

// WatchEvent lines (each with its line end) that lead from `known` to `snapshot`; brings `known` up to date.
std::string RenderChanges(const Snapshot& snapshot, Resource resource, const Selection& selection, Known& known);

// v1 PodList as the API server writes it.
std::string RenderPodList(const Snapshot& snapshot);

// The text of /readyz?verbose: "[+]runtime ok" and "[-]manifests failed: ...", then the verdict.
std::string RenderChecks(std::string_view endpoint, const std::vector<HealthCheck>& checks);

// Gauges in Prometheus' text form that follow from the snapshot alone.
std::string RenderMetrics(const Snapshot& snapshot);

// {"error": "...", "hint": "..."} with a line end.
std::string RenderError(std::string_view error, std::string_view hint);

}  // namespace daemonsetd::local
