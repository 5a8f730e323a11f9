#include "agent/state_metrics.h"

#include <chrono>
#include <utility>

namespace daemonsetd {
namespace {

using local::MetricsText;

void WriteOne(MetricsText& text, std::string_view name, std::string_view type, std::string_view help, double value) {
  text.Family(name, type, help);
  text.Sample(name, {}, value);
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

void WriteApiServer(const cluster::ApiServer& server, MetricsText& text) {
  WriteOne(text, "daemonsetd_api_server_offline_seconds", "gauge",
           "Seconds since the API server last told of changes; 0 while it does.", InSeconds(server.OfflineFor()));
  WriteOne(text, "daemonsetd_daemonset_spec_age_seconds", "gauge",
           "Seconds since the API server last confirmed the oldest DaemonSet in use; 0 while it tells of changes.",
           InSeconds(server.SpecAge()));
  const cluster::PodSync::AwaitedPermits awaited = server.pods().Awaited();
  WriteOne(text, "daemonsetd_rollout_waiting_pods", "gauge",
           "Pods of an older template that wait for their turn in a rolling update.", awaited.pods);
  WriteOne(text, "daemonsetd_rollout_waiting_seconds", "gauge", "How long the first of these has waited.",
           InSeconds(awaited.longest));
}

void WriteCoordinator(const rollout::Coordinator& coordinator, MetricsText& text) {
  text.Family("daemonsetd_rollout_coordinator", "gauge",
              "Shards of the rollouts that this agent coordinates, and stands by for.");
  const auto roles = coordinator.roles();
  text.Sample("daemonsetd_rollout_coordinator", {{"role", "holder"}}, roles.holds);
  text.Sample("daemonsetd_rollout_coordinator", {{"role", "standby"}}, roles.stands_by);
  WriteOne(text, "daemonsetd_rollout_steps_total", "counter",
           "Pods of the cluster that this agent, as the coordinator, gave their turn in a rolling update.",
           static_cast<double>(coordinator.counters().steps));
  WriteOne(text, "daemonsetd_rollout_errors_total", "counter",
           "Times that this agent, as the coordinator, could not work on a DaemonSet.",
           static_cast<double>(coordinator.counters().failures));
}

}  // namespace

void WriteStateMetrics(const StateSources& sources, MetricsText& text) {
  WriteRuntime(sources, text);
  WriteStore(sources.store, text);
  if (sources.api_server != nullptr) WriteApiServer(*sources.api_server, text);
  if (sources.coordinator != nullptr) WriteCoordinator(*sources.coordinator, text);
}

}  // namespace daemonsetd
