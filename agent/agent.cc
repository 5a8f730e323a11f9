#include "agent/agent.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/agent_settings.h"
#include "agent/async/system_random.h"
#include "agent/base/log.h"
#include "agent/base/version.h"
#include "agent/config/reload.h"
#include "agent/memory.h"
#include "agent/node/node_object.h"
#include "agent/pods/log_links.h"
#include "agent/pods/volumes/mount_table.h"
#include "agent/state_metrics.h"
#include "cri/verbose_status.h"

namespace daemonsetd {
namespace {

// Enough for a volume set-up beside a slow tear-down; idle threads cost nothing but their stack.
constexpr int kBlockingThreads = 2;
constexpr Nanoseconds kShutdownPoll = std::chrono::milliseconds(10);
// Changes that come together are told together.
constexpr Nanoseconds kPublishSettle = std::chrono::milliseconds(50);

// A quiet moment after changes, and the least time between two of them that count.
constexpr Nanoseconds kQuiet = std::chrono::seconds(3);
constexpr Nanoseconds kBetweenGivingBack = std::chrono::seconds(20);

// A person waits for it.
constexpr Nanoseconds kUsageTimeout = std::chrono::seconds(4);
// Also where the time to stop was used up by others: it is short, and what it saves is not to be had again.
constexpr Nanoseconds kLeastFlush = std::chrono::seconds(1);
// For what comes after the last wait that has an end of its own.
constexpr Nanoseconds kStopMargin = std::chrono::seconds(10);
constexpr Nanoseconds kPoolPulse = std::chrono::seconds(30);
constexpr Nanoseconds kUntilRuntimeTells = std::chrono::seconds(1);

std::vector<std::string> InternalAddresses(const corev1::Node& node) {
  std::vector<std::string> addresses;
  for (const corev1::NodeAddress& address : node.status().addresses()) {
    if (address.type() == "InternalIP") addresses.push_back(address.address());
  }
  return addresses;
}

node::MachineFacts ReadMachine(const config::Message& config) {
  auto facts = node::ReadMachineFacts("/", config.podroot());
  if (!facts) throw std::runtime_error("cannot describe this machine: " + facts.error().message());
  return *facts;
}

}  // namespace

Agent::Agent(async::Executor executor, config::Config config, LoadConfig load_config, service::Environment environment)
    : executor_(executor),
      config_(std::move(config)),
      load_config_(std::move(load_config)),
      machine_(ReadMachine(config_.message)),
      publish_(executor),
      changed_(executor),
      runtime_changed_(executor),
      blocking_(kBlockingThreads),
      runtime_(executor, config_.message.runtimeendpoint(), CountCalls()),
      starts_(executor, config_.message.maxparallelpodstarts()),
      events_(timeline_, config_.message.nodename(),
              [this] {
                if (api_server_) api_server_->EventRecorded();
                Changed();
              }),
      store_(executor, timeline_, blocking_, CheckpointDirectory(config_.message),
             [this] {
               facts_.checkpoint_problem = store_.problem();
               Changed();
             }),
      checkpoint_(store_),
      view_(
          runtime_, timeline_, executor, ViewSettingsOf(config_),
          [this](const std::string& pod_uid) { RuntimeChanged(pod_uid); },
          [this](Nanoseconds took, std::optional<Nanoseconds> interval) { runtime_metrics_.Listed(took, interval); }),
      image_credentials_(config_.message.imagecredentialsfile(), blocking_),
      image_checkpoint_(store_),
      pull_progress_(ImageService(), blocking_),
      damaged_images_(runtime_, ImageService(), timeline_, image_checkpoint_, pods::ReadUptime,
                      config_.durations.runtime_request_timeout),
      images_(executor, timeline_, ImageService(), PullSettingsOf(config_), &image_credentials_, &pull_progress_,
              &damaged_images_),
      network_(executor, timeline_, runtime_, config_.durations.runtime_request_timeout),
      volumes_(DirectoriesOf(config_.message), blocking_),
      prober_(executor, timeline_, blocking_, runtime_, processes_),
      cgroups_(MakePodCgroups(executor,
                              {.timeline = timeline_,
                               .blocking = blocking_,
                               .features = features_,
                               .workers = workers_,
                               .metrics = runtime_metrics_,
                               .node = [this]() -> const corev1::Node& { return Node(); }},
                              config_.message)),
      services_{.executor = executor,
                .timeline = timeline_,
                .blocking = blocking_,
                .runtime = runtime_,
                .view = view_,
                .images = images_,
                .network = network_,
                .volumes = volumes_,
                .prober = prober_,
                .starts = starts_,
                .events = events_,
                .records = checkpoint_,
                .directories = DirectoriesOf(config_.message),
                .limits = {.crash_loop = config_.durations.crash_loop_back_off},
                .settings = PodSettingsOf(config_, machine_),
                .node = [this]() -> const corev1::Node& { return Node(); },
                .host_ips = [this] { return InternalAddresses(node_); },
                .features = [this] { return features_; },
                .knows_runtime = [this] { return runtime_known_; },
                .cgroups = cgroups_.get(),
                .observer = pod_metrics_},
      workers_(services_, [this] { PodsChanged(); }),
      supervisor_(services_, workers_, [this] { Changed(); }),
      pressure_(
          services_, workers_, ImageService(), registry_, NodePressureOf(config_),
          [this] { return image_collector_.RemoveAllUnused(); },
          [this] {
            BuildNode();
            PodsChanged();
          }),
      shutdown_(services_, workers_, ShutdownPeriodsOf(config_),
                {.tell_node =
                     [this](bool shutting_down) {
                       if (api_server_) api_server_->ShuttingDown(shutting_down);
                     },
                 .flush = [this](MonoTime until) { return FlushBeforeShutdown(until); },
                 .on_change =
                     [this] {
                       facts_.shutdown_problem = shutdown_.problem();
                       Changed();
                     }}),
      orphaned_pods_(services_, workers_, [this] { return KnowsAllPods(); }),
      image_collector_(ImageCollectorPorts(), ImageCollectionOf(config_)),
      sockets_(
          services_, workers_,
          [this](const std::string& name_space, const std::string& name) { return RestartPod(name_space, name); },
          config_.durations.file_check_frequency,
          [this] { stale_sockets_.Set(static_cast<double>(sockets_.count())); }),
      logs_(services_, LogRotationOf(config_),
            [this](bool succeeded) { (succeeded ? log_rotations_ : log_rotation_errors_).Add(); }),
      manifests_(executor, timeline_, blocking_, SourceOptionsOf(config_), [this] { ManifestsChanged(); }),
      usage_(runtime_, timeline_, kUsageTimeout),
      snapshots_(executor, [this] { return MakeSnapshot(); }),
      server_(executor, timeline_, snapshots_, registry_, blocking_, LocalHandlers(), ServerOptionsOf(config_)),
      pulse_(timeline_, blocking_, kPoolPulse),
      reporter_(executor, timeline_, std::move(environment),
                {.status = [this] { return service::StatusLine(BuildStatusFacts(Sources())); },
                 .liveness = [this] { return CheckLiveness(); }}),
      scope_(executor) {
  const Now now = timeline_.Read();
  facts_.start_time = now.wall;
  facts_.runtime_since = now.wall;
  facts_.runtime_endpoint = config_.message.runtimeendpoint();
  facts_.manifest_directory = config_.message.manifestdirectory();
  registry_.AddCollector([this](local::MetricsText& text) {
    WriteStateMetrics({.workers = workers_,
                       .view = view_,
                       .store = store_,
                       .api_server = api_server_.get(),
                       .coordinator = coordinator_.get()},
                      text);
  });
  BuildNode();
}

cri::CallObserver Agent::CountCalls() {
  return [this](std::string_view method, Nanoseconds took, bool succeeded) {
    runtime_metrics_.Observe(method, took, succeeded);
  };
}

cri::Runtime& Agent::ImageService() {
  const std::string& endpoint = config_.message.imageserviceendpoint();
  if (endpoint == config_.message.runtimeendpoint()) return runtime_;
  return image_service_ ? *image_service_ : image_service_.emplace(executor_, endpoint, CountCalls());
}

pods::ImageCollector::Ports Agent::ImageCollectorPorts() {
  return {.executor = executor_,
          .timeline = timeline_,
          .blocking = blocking_,
          .runtime = runtime_,
          .image_service = ImageService(),
          .images = images_,
          .events = events_,
          .records = image_checkpoint_,
          .wanted = [this] { return WantedImages(); },
          .node = [this] { return decide::ReferenceTo(Node()); },
          .on_collected = [this](const std::string& reason) { images_collected_.With({{"reason", reason}}).Add(); }};
}

bool Agent::KnowsAllPods() const {
  return manifests_.current().complete && (!api_server_ || api_server_->pods().complete());
}

// A node that is offline cannot fetch an image again: what a pod here may be made of next counts too (GC-01).
std::optional<std::set<std::string>> Agent::WantedImages() const {
  if (!KnowsAllPods()) return std::nullopt;
  std::set<std::string> wanted;
  const auto add = [&wanted](const corev1::PodSpec& spec) {
    wanted.merge(cluster::CanonicalNames(cluster::ImagesOf(spec)));
  };
  for (const pods::Hosted& hosted : supervisor_.workloads()) add(hosted.workload.placement_spec);
  for (const auto& [uid, worker] : workers_.all()) add(worker->pod().spec());
  if (api_server_) {
    for (const auto& pod : api_server_->pods().HostedPods()) add(pod->spec());
  }
  return wanted;
}

local::Handlers Agent::LocalHandlers() {
  return {.find_log =
              [this](const local::LogRequest& request) {
                return FindContainerLog(workers_, view_, services_.directories, request);
              },
          .restart = [this](const local::RestartRequest& request) { return Restart(request); },
          .usage = [this] { return usage_.Measure(); },
          .liveness = [this] { return CheckLiveness(); },
          .configz = [this] { return config::EffectiveConfigJson(config_.message); }};
}

Result<statusv1::RestartAnswer> Agent::Restart(const local::RestartRequest& request) {
  const auto pods = request.kind == "Pod" ? RestartPod(request.object_namespace, request.name)
                                          : RestartDaemonSet(request.object_namespace, request.name);
  if (!pods) return pods.error();
  log::Info("restart asked for on the local socket",
            {{"kind", request.kind}, {"object", request.object_namespace + "/" + request.name}});
  statusv1::RestartAnswer answer;
  answer.set_kind(request.kind);
  answer.set_namespace_(request.object_namespace);
  answer.set_name(request.name);
  for (const std::string& pod : *pods) answer.add_pods(pod);
  return answer;
}

// Of a manifest first, which needs nobody's consent.
Result<std::vector<std::string>> Agent::RestartPod(const std::string& name_space, const std::string& name) {
  auto pods = supervisor_.RestartPod(name_space, name);
  const bool absent = !pods && pods.error().kind() == ErrorKind::kAbsent;
  return absent && api_server_ ? api_server_->pods().RestartPod(name_space, name) : std::move(pods);
}

Result<std::vector<std::string>> Agent::RestartDaemonSet(const std::string& name_space, const std::string& name) {
  auto pods = supervisor_.RestartDaemonSet(name_space, name);
  const bool absent = !pods && pods.error().kind() == ErrorKind::kAbsent;
  return absent && api_server_ ? api_server_->pods().RestartDaemonSet(name_space, name) : std::move(pods);
}

SnapshotSources Agent::Sources() {
  std::vector<const pods::Hosted*> hosted;
  for (const pods::Hosted& one : supervisor_.workloads()) hosted.push_back(&one);
  facts_.api_server = "not configured";
  if (api_server_) {
    for (const pods::Hosted* one : api_server_->pods().Workloads()) hosted.push_back(one);
    facts_.api_server = api_server_->StatusText();
    facts_.api_server_problem = api_server_->Problem();
    facts_.certificate_problem = certificates_->Problem();
    if (coordinator_) facts_.coordinator = coordinator_->StatusText();
    if (coordinator_ && facts_.api_server_problem.empty()) facts_.api_server_problem = coordinator_->Problem();
  }
  return {.workers = workers_,
          .hosted = std::move(hosted),
          .view = view_,
          .manifests = manifests_.current(),
          .events = events_,
          .node = Node(),
          .facts = facts_};
}

std::shared_ptr<const local::Snapshot> Agent::MakeSnapshot() { return BuildSnapshot(Sources()); }

std::vector<decide::HealthCheck> Agent::CheckLiveness() const {
  return decide::CheckLiveness({.pool_asked = pulse_.asked(),
                                .runtime_due = view_.due(),
                                .checkpoint_due = store_.due(),
                                .checkpoint_writing = store_.writing_since()},
                               timeline_.mono());
}

Status Agent::Open() {
  DAEMONSETD_RETURN_IF_ERROR(reporter_.Open());
  DAEMONSETD_RETURN_IF_ERROR(lock_.Take(config_.message.statedirectory()));
  store::LoadResult loaded = store::Load(CheckpointDirectory(config_.message));
  for (const std::string& problem : loaded.problems) {
    log::Warning("the checkpoint is not complete", {{"err", problem}});
    facts_.warnings_of_start.push_back(problem);
  }
  store_.Adopt(std::move(loaded));
  if (!config_.message.kubeconfig().empty()) {
    OpenApiServer();
  }
  return server_.Open();
}

// After the checkpoint was read: it begins with what that knows.
void Agent::OpenApiServer() {
  cluster::ApiServerSettings settings = ApiServerSettingsOf(config_, machine_);
  settings.observer = &api_metrics_;
  api_server_ = std::make_unique<cluster::ApiServer>(
      services_, workers_, store_, ImageService(), pressure_.monitor(), std::move(settings),
      [this](std::vector<corev1::NodeCondition> conditions) { return MakeNode(std::move(conditions)); },
      [this] {
        if (coordinator_) coordinator_->Notify();
        Changed();
      },
      [this] {
        supervisor_.Notify();  // the Node decides about the pods of manifests too
        Changed();
      });
  services_.objects = api_server_->objects();
  certificates_ = std::make_unique<Certificates>(executor_, timeline_, blocking_, api_server_->client(), registry_,
                                                 config_.message, [this] { Changed(); });
  if (config_.message.rolloutcoordinator() && config_.message.podsource() == "local") coordinator_ = MakeCoordinator();
}

std::unique_ptr<rollout::Coordinator> Agent::MakeCoordinator() {
  rollout::CoordinatorSettings settings;
  settings.node_name = config_.message.nodename();
  settings.shards = config_.message.rolloutshards();
  settings.tenure.progress_deadline = config_.durations.rollout_progress_deadline;
  return std::make_unique<rollout::Coordinator>(
      executor_, timeline_, api_server_->client(), async::SystemRandom(), std::move(settings),
      [this] { return api_server_->DaemonSets(); },
      [this](const appsv1::DaemonSet& daemon_set, decide::EventType type, const std::string& reason,
             const std::string& text) { events_.Record(decide::ReferenceTo(daemon_set), type, reason, text); },
      [this] { Changed(); });
}

Task<void> Agent::Run() {
  log::Info("daemonsetd starts", {{"version", BuildVersion().version},
                                  {"node", config_.message.nodename()},
                                  {"manifests", config_.message.manifestdirectory()},
                                  {"runtime", config_.message.runtimeendpoint()}});
  co_await RemoveOldLogLinks();
  scope_.Spawn("runtime view", view_.Run());
  scope_.Spawn("runtime version", IdentifyRuntime());
  scope_.Spawn("manifests", manifests_.Run());
  scope_.Spawn("checkpoint", store_.Run());
  scope_.Spawn("pods", RunPods());
  scope_.Spawn("image garbage", image_collector_.Run());
  scope_.Spawn("node pressure", pressure_.Run());
  scope_.Spawn("sockets", sockets_.Run());
  scope_.Spawn("logs", logs_.Run());
  scope_.Spawn("shutdown", shutdown_.Run());
  scope_.Spawn("local interface", server_.Serve());
  scope_.Spawn("snapshots", TellSubscribers());
  scope_.Spawn("memory", GiveBackMemoryWhenQuiet());
  scope_.Spawn("blocking pool", pulse_.Run());
  scope_.Spawn("service manager", reporter_.Run());
  co_await HandleSignals();

  log::Info("daemonsetd stops; containers keep running");
  reporter_.Stopping(config_.durations.shutdown_timeout + kLeastFlush + kStopMargin);
  co_await async::kDeafToCancellation;
  scope_.Cancel();
  const MonoTime give_up = timeline_.mono() + config_.durations.shutdown_timeout;
  while (!scope_.empty() && timeline_.mono() < give_up) co_await timeline_.SleepFor(kShutdownPoll);
  // Calls still under way are left to the next start, which finds what they did.
  co_await runtime_.Close();
  if (image_service_) co_await image_service_->Close();
  co_await images_.Stop();
  co_await prober_.Close();
  co_await scope_.Join();
  co_await FlushCheckpoint(std::max(give_up, timeline_.mono() + kLeastFlush));
}

// The workers end after those who start them.
Task<void> Agent::RunPods() {
  async::TaskScope server(executor_);
  if (api_server_) server.Spawn("API server", api_server_->Run());
  async::TaskScope deciders(executor_);
  deciders.Spawn("supervisor", supervisor_.Run());
  deciders.Spawn("orphaned pods", orphaned_pods_.Run());
  if (coordinator_) deciders.Spawn("coordinator", coordinator_->Run());
  if (certificates_) deciders.Spawn("certificates", certificates_->Run());
  co_await deciders.HoldUntilCancelled();
  server.Cancel();
  co_await server.Join();
  co_await workers_.Close();
}

// LC-34: a machine that is gone can tell nobody how its pods ended.
Task<void> Agent::FlushBeforeShutdown(MonoTime until) {
  if (api_server_) co_await api_server_->Settle(until);
  co_await FlushCheckpoint(until);
}

Task<void> Agent::FlushCheckpoint(MonoTime until) {
  if (const Status flushed = co_await store_.Flush(until); !flushed) {
    log::Warning("the checkpoint is not complete", {{"err", flushed.error().message()}});
  }
}

// Before there is a worker: none makes links meanwhile.
Task<void> Agent::RemoveOldLogLinks() {
  std::function<Status()> remove = [directories = services_.directories] {
    return pods::RemoveDanglingLogLinks(directories);
  };
  const Status removed = co_await blocking_.Run(std::move(remove));
  if (!removed) log::Warning("cannot remove old links to logs", {{"err", removed.error().message()}});
}

Task<void> Agent::HandleSignals() {
  boost::asio::signal_set signals(executor_, SIGTERM, SIGINT, SIGHUP);
  // The checkpoint is read, the socket listens, the tasks begin. Who waits for us need not wait for a runtime or an API
  // server: what is needed of them comes when they come.
  reporter_.Ready();
  for (;;) {
    const int signal = co_await signals.async_wait(boost::asio::use_awaitable);
    if (signal != SIGHUP) co_return;
    reporter_.Reloading();
    Reload();
    reporter_.Ready();
  }
}

void Agent::Reload() {
  const config::LoadResult loaded = load_config_();
  if (!loaded.config) {
    for (const model::DecodeError& error : loaded.errors) {
      log::Error("the new configuration has an error; the present one stays", {{"err", model::ToString(error)}});
    }
    return;
  }
  const config::ReloadReport report = config::Reload(config_, *loaded.config);
  config_ = config::ApplyReload(config_, *loaded.config);
  const std::string text = report.Text();
  log::Info("configuration reloaded", {{"changes", text.empty() ? "none" : text}});
  facts_.warnings.clear();
  if (report.NeedsRestart()) facts_.warnings.push_back("the configuration changed in part: " + text);
  log::SetLevel(log::LevelFrom(config_.message.logging().level()));
  manifests_.set_poll_interval(config_.durations.file_check_frequency);
  sockets_.set_period(config_.durations.file_check_frequency);
  logs_.Change(LogRotationOf(config_));
  services_.limits.crash_loop = config_.durations.crash_loop_back_off;
  if (certificates_) certificates_->Notify();
  BuildNode();
  PodsChanged();
}

corev1::Node Agent::MakeNode(std::vector<corev1::NodeCondition> conditions) const {
  node::NodeReport report;
  report.agent_version = ReportedVersion();
  if (!facts_.runtime_name.empty()) {
    std::string_view version = facts_.runtime_version;
    if (version.starts_with('v')) version.remove_prefix(1);  // as a kubelet does, whatever the runtime calls it
    report.container_runtime_version = facts_.runtime_name + "://" + std::string(version);
  }
  report.runtime_features = features_;
  report.conditions = std::move(conditions);
  return node::MakeNode(config_.message, machine_, report);
}

const corev1::Node& Agent::Node() const {
  const corev1::Node* known = api_server_ ? api_server_->node() : nullptr;
  return known ? *known : node_;
}

void Agent::PodsChanged() {
  supervisor_.Notify();
  if (api_server_) api_server_->Notify();
  Changed();
}

// Where there is no API server, nobody else says how the node does.
void Agent::BuildNode() {
  corev1::NodeCondition ready;
  ready.set_type("Ready");
  const bool connected = view_.connected();
  ready.set_status(connected ? "True" : "False");
  ready.set_reason(connected ? "AgentReady" : "ContainerRuntimeNotReady");
  ready.set_message(connected ? "daemonsetd is ready" : view_.last_error());
  const std::int64_t now = std::chrono::floor<Seconds>(timeline_.Read().wall).time_since_epoch().count();
  ready.mutable_lasttransitiontime()->set_seconds(now);
  for (const corev1::NodeCondition& old : node_.status().conditions()) {
    if (old.type() == ready.type() && old.status() == ready.status()) {
      *ready.mutable_lasttransitiontime() = old.lasttransitiontime();
    }
  }
  std::vector<corev1::NodeCondition> conditions = pressure_.Conditions(node_.status());
  conditions.push_back(std::move(ready));
  node_ = MakeNode(std::move(conditions));
  if (api_server_) api_server_->NodeChanged();
}

void Agent::ManifestsChanged() {
  const manifests::Snapshot& snapshot = manifests_.current();
  std::vector<pods::DaemonSetSource> daemon_sets;
  for (const auto& source : snapshot.daemon_sets) daemon_sets.push_back({.file = source.file, .object = source.object});
  std::vector<pods::PodSource> pods;
  for (const auto& source : snapshot.pods) pods.push_back({.file = source.file, .object = source.object});
  supervisor_.SetSources(daemon_sets, pods, snapshot.complete);
  if (api_server_) api_server_->pods().SetManifestsComplete(snapshot.complete);
}

void Agent::RuntimeChanged(const std::string& pod_uid) {
  logs_.Notify();
  if (!workers_.RuntimeChanged(pod_uid)) PodsChanged();
  if (!pod_uid.empty()) return;
  const bool connected = view_.connected();
  if (connected != runtime_connected_) {
    facts_.runtime_since = timeline_.Read().wall;
    sockets_.Notify();  // its own socket is the one that pods mount most
  }
  runtime_connected_ = connected;
  if (!connected) runtime_known_ = false;  // it may come back as another, with another cgroup driver
  BuildNode();
  runtime_changed_.Notify();
  Changed();
}

Task<void> Agent::IdentifyRuntime() {
  for (;;) {
    auto version = co_await runtime_.Version(config_.durations.runtime_request_timeout);
    if (version) {
      facts_.runtime_name = version->runtime_name();
      facts_.runtime_version = version->runtime_version();
      co_await ReadRuntimeFeatures(*version);
      co_await CheckMounts();
      BuildNode();
      Changed();
    }
    // Pods wait for its answers, and nobody tells when it could give them.
    std::optional<MonoTime> again;
    if (!runtime_known_) again = timeline_.mono() + kUntilRuntimeTells;
    co_await runtime_changed_.WaitUntil(timeline_, again);
  }
}

Task<void> Agent::CheckMounts() {
  std::function<Status()> check = [directory = config_.message.podroot(),
                                   socket = SocketPath(config_.message.runtimeendpoint())] {
    return pods::CheckMountsReachTheRuntime(directory, socket);
  };
  const Status reached = co_await blocking_.Run(std::move(check));
  std::string problem = reached ? "" : reached.error().message();
  if (problem == facts_.mount_problem) co_return;
  if (!reached) log::Warning("mounts may not reach the runtime", {{"err", problem}});
  facts_.mount_problem = std::move(problem);
}

// What it can do is known all at once or not at all: no sandbox is made by halves of it.
Task<void> Agent::ReadRuntimeFeatures(cri::v1::VersionResponse version) {
  const Nanoseconds timeout = config_.durations.runtime_request_timeout;
  const auto config = co_await runtime_.RuntimeConfig(timeout);
  // With its configuration, where there is no call for what is needed of it.
  const auto status = co_await runtime_.Status(!config, timeout);
  if (!status) co_return;
  cri::RuntimeFeatures features = cri::ReadFeatures(*status, version);
  features.cgroup_driver = CheckCgroupDriver(config ? cri::CgroupDriverOf(*config) : cri::CgroupDriverOf(*status));
  features_ = std::move(features);
  runtime_known_ = true;
}

// PK-04: two halves of one node with different drivers fight over the same cgroups, so the runtime's is used.
cri::CgroupDriver Agent::CheckCgroupDriver(cri::CgroupDriver actual) {
  const std::string& name = config_.message.cgroupdriver();
  const cri::CgroupDriver wanted = cri::CgroupDriverOf(name);
  if (actual == cri::CgroupDriver::kUnknown) return wanted;
  if (wanted == cri::CgroupDriver::kUnknown || wanted == actual) return actual;
  const std::string used = cri::NameOf(actual);
  std::string warning = "cgroupDriver is " + name + ", but the container runtime uses " + used +
                        "; set cgroupDriver to auto, or change the runtime's configuration";
  log::Warning("cgroup drivers differ", {{"configured", name}, {"runtime", used}});
  if (std::find(facts_.warnings.begin(), facts_.warnings.end(), warning) == facts_.warnings.end()) {
    facts_.warnings.push_back(std::move(warning));
  }
  return actual;
}

void Agent::Changed() {
  snapshots_.MarkStale();
  publish_.Notify();
  changed_.Notify();
  reporter_.Notify();
}

Task<void> Agent::GiveBackMemoryWhenQuiet() {
  for (;;) {
    co_await changed_.WaitUntil(timeline_, std::nullopt);
    bool changed = true;
    while (changed) changed = co_await changed_.WaitUntil(timeline_, timeline_.mono() + kQuiet);
    GiveBackMemory();
    co_await timeline_.SleepFor(kBetweenGivingBack);
  }
}

Task<void> Agent::TellSubscribers() {
  for (;;) {
    snapshots_.Notify();
    co_await publish_.WaitUntil(timeline_, std::nullopt);
    co_await timeline_.SleepFor(kPublishSettle);
  }
}

}  // namespace daemonsetd
