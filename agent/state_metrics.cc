#include "agent/state_metrics.h"

#include <chrono>
#include <optional>
#include <utility>

namespace daemonsetd {
namespace {

using local::MetricsText;

// A metric without a value is told of all the same: what there is does not depend on the configuration.
void WriteOne(MetricsText& text, std::string_view name, std::string_view type, std::string_view help,
              std::optional<double> value) {
  text.Family(name, type, help);
  if (value) text.Sample(name, {}, *value);
}

double InSeconds(Nanoseconds time) { return std::chrono::duration<double>(time).count(); }

void WriteRuntime(const StateSources& sources, MetricsText& text) {
  int counts[4] = {};  // by cri::v1::ContainerState
  for (const auto& [uid, pod] : sources.view.pods()) {
    for (const auto& container : pod.containers) {
      const int state = container.status.state();
      if (state >= 0 && state < 4) ++counts[state];
    }
  }
  static constexpr std::pair<cri::v1::ContainerState, const char*> kStates[] = {
      {cri::v1::CONTAINER_CREATED, "created"},
      {cri::v1::CONTAINER_RUNNING, "running"},
      {cri::v1::CONTAINER_EXITED, "exited"},
      {cri::v1::CONTAINER_UNKNOWN, "unknown"},
  };
  text.Family("daemonsetd_running_containers", "gauge", "Containers of this node's pods, by state.");
  for (const auto& [state, name] : kStates) {
    text.Sample("daemonsetd_running_containers", {{"container_state", name}}, counts[state]);
  }
  int active = 0;
  for (const auto& [uid, worker] : sources.workers.all()) active += worker->terminal() || worker->finished() ? 0 : 1;
  WriteOne(text, "daemonsetd_active_pods", "gauge", "Pods that this agent has, without those that ended for good.",
           active);
}

void WriteStore(const store::Store& store, MetricsText& text) {
  WriteOne(text, "daemonsetd_checkpoint_writes_total", "counter", "Records of the checkpoint written or removed.",
           static_cast<double>(store.counters().writes));
  WriteOne(text, "daemonsetd_checkpoint_errors_total", "counter", "Attempts to write the checkpoint that failed.",
           static_cast<double>(store.counters().errors));
  WriteOne(text, "daemonsetd_checkpoint_unwritten_records", "gauge",
           "Records of the checkpoint that are newer than the disk.", static_cast<double>(store.waiting()));
}

// `server` may be null: then there is nothing to say.
void WriteApiServer(const cluster::ApiServer* server, MetricsText& text) {
  std::optional<double> offline;
  std::optional<double> age;
  std::optional<double> waiting;
  std::optional<double> waited;
  if (server != nullptr) {
    const cluster::PodSync::AwaitedPermits awaited = server->pods().Awaited();
    offline = InSeconds(server->OfflineFor());
    age = InSeconds(server->SpecAge());
    waiting = awaited.pods;
    waited = InSeconds(awaited.longest);
  }
  WriteOne(text, "daemonsetd_api_server_offline_seconds", "gauge",
           "Seconds since the API server last told of changes; 0 while it does.", offline);
  WriteOne(text, "daemonsetd_daemonset_spec_age_seconds", "gauge",
           "Seconds since the API server last confirmed the oldest DaemonSet in use; 0 while it tells of changes.",
           age);
  WriteOne(text, "daemonsetd_rollout_waiting_pods", "gauge",
           "Pods of an older template that wait for their turn in a rolling update.", waiting);
  WriteOne(text, "daemonsetd_rollout_waiting_seconds", "gauge", "How long the first of these has waited.", waited);
}

// The same of `coordinator`.
void WriteCoordinator(const rollout::Coordinator* coordinator, MetricsText& text) {
  text.Family("daemonsetd_rollout_coordinator", "gauge",
              "Shards of the rollouts that this agent coordinates, and stands by for.");
  std::optional<double> steps;
  std::optional<double> failures;
  if (coordinator != nullptr) {
    const auto roles = coordinator->roles();
    text.Sample("daemonsetd_rollout_coordinator", {{"role", "holder"}}, roles.holds);
    text.Sample("daemonsetd_rollout_coordinator", {{"role", "standby"}}, roles.stands_by);
    steps = static_cast<double>(coordinator->counters().steps);
    failures = static_cast<double>(coordinator->counters().failures);
  }
  WriteOne(text, "daemonsetd_rollout_steps_total", "counter",
           "Pods of the cluster that this agent, as the coordinator, gave their turn in a rolling update.", steps);
  WriteOne(text, "daemonsetd_rollout_errors_total", "counter",
           "Times that this agent, as the coordinator, could not work on a DaemonSet.", failures);
}

}  // namespace

void WriteStateMetrics(const StateSources& sources, MetricsText& text) {
  WriteRuntime(sources, text);
  WriteStore(sources.store, text);
  WriteApiServer(sources.api_server, text);
  WriteCoordinator(sources.coordinator, text);
}

}  // namespace daemonsetd
