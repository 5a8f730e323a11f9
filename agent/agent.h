// The composition root: the only place that knows every concrete class. Members are in start order, top to bottom;
// they stop in reverse.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/api_metrics.h"
#include "agent/async/blocking_pool.h"
#include "agent/async/semaphore.h"
#include "agent/async/system_timeline.h"
#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/certificates.h"
#include "agent/checkpoint.h"
#include "agent/cluster/api_server.h"
#include "agent/config/config.h"
#include "agent/file_lock.h"
#include "agent/local/metrics.h"
#include "agent/local/server.h"
#include "agent/local/snapshot_holder.h"
#include "agent/manifests/source.h"
#include "agent/node/facts.h"
#include "agent/node_pressure.h"
#include "agent/node_shutdown.h"
#include "agent/pod_groups.h"
#include "agent/pod_metrics.h"
#include "agent/pods/event_log.h"
#include "agent/pods/garbage/damaged_images.h"
#include "agent/pods/garbage/image_collector.h"
#include "agent/pods/garbage/orphaned_pods.h"
#include "agent/pods/image_credentials.h"
#include "agent/pods/images.h"
#include "agent/pods/logs/log_rotator.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_workers.h"
#include "agent/pods/probes/prober.h"
#include "agent/pods/pull_progress.h"
#include "agent/pods/runtime_view.h"
#include "agent/pods/socket_watch.h"
#include "agent/pods/supervisor.h"
#include "agent/pods/volumes/volumes.h"
#include "agent/rollout/coordinator.h"
#include "agent/runtime_metrics.h"
#include "agent/service/environment.h"
#include "agent/service/pool_pulse.h"
#include "agent/service/reporter.h"
#include "agent/snapshot_builder.h"
#include "agent/store/store.h"
#include "agent/usage.h"
#include "cri/grpc_runtime.h"
#include "cri/runtime_features.h"

namespace daemonsetd {

class Agent {
 public:
  // Reads the configuration again, for SIGHUP.
  using LoadConfig = std::function<config::LoadResult()>;

  Agent(async::Executor executor, config::Config config, LoadConfig load_config, service::Environment environment);

  // Takes the state directory's lock, reads the checkpoint and opens the socket. kExists: another agent runs with
  // these.
  Status Open();

  // Until SIGTERM or SIGINT. Containers keep running.
  Task<void> Run();

 private:
  Task<void> HandleSignals();
  // What a snapshot tells has changed.
  void Changed();
  Task<void> TellSubscribers();
  Task<void> GiveBackMemoryWhenQuiet();
  // The runtime's name and version, read again each time it comes back.
  Task<void> IdentifyRuntime();
  void Reload();
  void BuildNode();
  corev1::Node MakeNode(std::vector<corev1::NodeCondition> conditions) const;
  // The node as it is now: as the API server has it where there is one.
  const corev1::Node& Node() const;
  void OpenApiServer();
  std::unique_ptr<rollout::Coordinator> MakeCoordinator();
  Task<void> RemoveOldLogLinks();
  Task<void> RunPods();
  Task<void> FlushBeforeShutdown(MonoTime until);
  Task<void> FlushCheckpoint(MonoTime until);
  void PodsChanged();
  void ManifestsChanged();
  void RuntimeChanged(const std::string& pod_uid);
  Task<void> CheckMounts();
  Task<void> ReadRuntimeFeatures(cri::v1::VersionResponse version);
  cri::CgroupDriver CheckCgroupDriver(cri::CgroupDriver actual);
  cri::CallObserver CountCalls();
  cri::Runtime& ImageService();
  pods::ImageCollector::Ports ImageCollectorPorts();
  // Every source of pods was read completely once.
  bool KnowsAllPods() const;
  // By the runtime's names; unset: not known yet.
  std::optional<std::set<std::string>> WantedImages() const;
  local::Handlers LocalHandlers();
  // After the facts were brought up to date.
  SnapshotSources Sources();
  std::shared_ptr<const local::Snapshot> MakeSnapshot();
  std::vector<decide::HealthCheck> CheckLiveness() const;
  Result<statusv1::RestartAnswer> Restart(const local::RestartRequest& request);
  Result<std::vector<std::string>> RestartPod(const std::string& name_space, const std::string& name);
  Result<std::vector<std::string>> RestartDaemonSet(const std::string& name_space, const std::string& name);

  async::Executor executor_;
  config::Config config_;
  LoadConfig load_config_;
  AgentFacts facts_;
  node::MachineFacts machine_;
  corev1::Node node_;
  FileLock lock_;

  async::SystemTimeline timeline_;
  async::Wake publish_;
  async::Wake changed_;  // as publish_, for who waits until nothing changes
  async::Wake runtime_changed_;
  async::BlockingPool blocking_;
  local::Registry registry_;
  RuntimeMetrics runtime_metrics_{registry_};
  std::shared_ptr<PodMetrics> pod_metrics_ = std::make_shared<PodMetrics>(registry_);
  ApiMetrics api_metrics_{registry_};
  local::Gauge& stale_sockets_ =
      registry_
          .AddGauges("daemonsetd_stale_socket_mounts", "Sockets of the host, replaced since, that containers hold.")
          .With({});
  local::Counter& log_rotations_ =
      registry_.AddCounters("daemonsetd_container_log_rotations_total", "Logs of containers that were set aside.")
          .With({});
  local::Counter& log_rotation_errors_ =
      registry_
          .AddCounters("daemonsetd_container_log_rotation_errors_total",
                       "Logs of containers that could not be set aside or compressed.")
          .With({});
  cri::GrpcRuntime runtime_;
  cri::RuntimeFeatures features_;
  bool runtime_known_ = false;  // they were read
  bool runtime_connected_ = false;
  std::optional<cri::GrpcRuntime> image_service_;  // where images have a socket of their own
  async::Semaphore starts_;
  pods::EventLog events_;
  store::Store store_;
  Checkpoint checkpoint_;
  pods::RuntimeView view_;
  pods::ImageCredentials image_credentials_;
  ImageCheckpoint image_checkpoint_;
  pods::PullProgress pull_progress_;
  pods::DamagedImages damaged_images_;
  pods::ImagePuller images_;
  pods::NetworkGate network_;
  pods::Volumes volumes_;
  pods::ProcessTable processes_;
  pods::Prober prober_;
  std::unique_ptr<pods::PodCgroups> cgroups_;
  pods::PodServices services_;
  pods::PodWorkers workers_;
  pods::Supervisor supervisor_;
  NodePressure pressure_;
  std::unique_ptr<cluster::ApiServer> api_server_;     // null without a kubeconfig
  std::unique_ptr<Certificates> certificates_;         // null without a kubeconfig
  std::unique_ptr<rollout::Coordinator> coordinator_;  // null also where others make the pods
  NodeShutdown shutdown_;
  pods::OrphanedPods orphaned_pods_;
  local::Family<local::Counter>& images_collected_ = registry_.AddCounters(
      "daemonsetd_image_garbage_collected_total", "Images that were removed because nothing needed them, by reason.");
  pods::ImageCollector image_collector_;
  pods::SocketWatch sockets_;
  pods::LogRotator logs_;
  manifests::ManifestSource manifests_;
  UsageMeter usage_;
  local::SnapshotHolder snapshots_;
  local::Server server_;
  service::PoolPulse pulse_;
  service::Reporter reporter_;
  async::TaskScope scope_;
};

}  // namespace daemonsetd
