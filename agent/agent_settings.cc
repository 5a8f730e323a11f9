#include "agent/agent_settings.h"

#include <fstream>
#include <sstream>

#include "agent/base/duration.h"
#include "agent/base/version.h"

namespace daemonsetd {
namespace {

// Empty when it cannot be read: pods then get what the runtime gives by itself.
std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

std::string ReportedVersion() { return "v" + std::string(BuildVersion().version); }

std::string CheckpointDirectory(const config::Message& config) { return config.statedirectory() + "/checkpoint"; }

pods::Directories DirectoriesOf(const config::Message& config) {
  return {.pod_root = config.podroot(),
          .log_root = config.logdirectory(),
          .container_log_dir = config.containerlogdirectory()};
}

std::string SocketPath(const std::string& endpoint) { return endpoint.substr(std::string_view("unix://").size()); }

pods::RuntimeViewSettings ViewSettingsOf(const config::Config& config) {
  pods::RuntimeViewSettings settings;
  settings.active_poll = config.durations.runtime_poll_interval;
  settings.idle_poll = config.durations.runtime_idle_poll_interval;
  return settings;
}

pods::PullSettings PullSettingsOf(const config::Config& config) {
  pods::PullSettings settings;
  settings.parallel = config.message.maxparallelimagepulls();
  settings.pull_timeout = config.durations.image_pull_timeout;
  settings.progress_timeout = config.durations.image_pull_progress_timeout;
  settings.request_timeout = config.durations.runtime_request_timeout;
  return settings;
}

pods::ImageCollectorSettings ImageCollectionOf(const config::Config& config) {
  pods::ImageCollectorSettings settings;
  settings.thresholds = {.high_percent = config.message.imagegchighthresholdpercent(),
                         .low_percent = config.message.imagegclowthresholdpercent(),
                         .minimum_age = config.durations.image_minimum_gc_age};
  settings.pinned.assign(config.message.pinnedimages().begin(), config.message.pinnedimages().end());
  settings.period = config.durations.image_gc_period;
  settings.call_timeout = config.durations.runtime_request_timeout;
  return settings;
}

pods::LogRotationSettings LogRotationOf(const config::Config& config) {
  pods::LogRotationSettings settings;
  settings.limits.max_size = model::Quantity::Parse(config.message.containerlogmaxsize()).value().Value();
  settings.limits.max_files = config.message.containerlogmaxfiles();
  settings.interval = config.durations.container_log_monitor_interval;
  settings.workers = config.message.containerlogmaxworkers();
  return settings;
}

pods::PodSettings PodSettingsOf(const config::Config& config, const node::MachineFacts& machine) {
  pods::PodSettings settings;
  settings.runtime_request_timeout = config.durations.runtime_request_timeout;
  settings.cluster_domain = config.message.clusterdomain();
  settings.dns.host = decide::ParseResolvConf(ReadText(config.message.resolvconf()));
  settings.dns.cluster_servers.assign(config.message.clusterdns().begin(), config.message.clusterdns().end());
  settings.dns.cluster_domain = config.message.clusterdomain();
  // The root itself is the runtime's own default.
  if (config.message.cgrouproot() != "/") settings.cgroup_root = config.message.cgrouproot();
  settings.seccomp_root = config.message.seccompprofileroot();
  settings.seccomp_default = config.message.seccompdefault();
  settings.oom_kills_container = machine.cgroup_v2 && !config.message.singleprocessoomkill();
  settings.node_memory = static_cast<std::int64_t>(machine.memory_bytes);
  for (const auto& from : config.message.runtimeclasses()) {
    decide::RuntimeClass& to = settings.runtime_classes[from.name()];
    to.handler = from.handler();
    for (const auto& [name, amount] : from.overhead()) to.overhead.emplace(name, model::Quantity::From(amount));
  }
  settings.allowed_unsafe_sysctls.assign(config.message.allowedunsafesysctls().begin(),
                                         config.message.allowedunsafesysctls().end());
  settings.user_namespace_ids = {.first = static_cast<std::uint32_t>(config.message.usernamespacefirstid()),
                                 .ranges = static_cast<std::uint32_t>(config.message.maxpods())};
  return settings;
}

manifests::SourceOptions SourceOptionsOf(const config::Config& config) {
  manifests::SourceOptions options;
  options.directory = config.message.manifestdirectory();
  options.node_name = config.message.nodename();
  options.poll_interval = config.durations.file_check_frequency;
  return options;
}

NodePressureSettings NodePressureOf(const config::Config& config) {
  const config::Message& message = config.message;
  NodePressureSettings settings;
  settings.most_grace = Seconds(message.evictionmaxpodgraceperiod());
  settings.thresholds.transition_period = config.durations.eviction_pressure_transition_period;
  settings.thresholds.watched.clear();
  const auto watch = [&](const auto& thresholds, bool soft) {
    for (const auto& [name, text] : thresholds) {
      decide::WatchedThreshold threshold{.signal = decide::FindEvictionSignal(name).value(),
                                         .least = decide::ParseEvictionThreshold(text).value()};
      const auto reclaim = message.evictionminimumreclaim().find(name);
      if (reclaim != message.evictionminimumreclaim().end()) {
        threshold.minimum_reclaim = decide::ParseEvictionThreshold(reclaim->second).value();
      }
      if (soft) threshold.grace = ParseDuration(message.evictionsoftgraceperiod().at(name)).value();
      settings.thresholds.watched.push_back(threshold);
    }
  };
  watch(message.evictionhard(), false);
  watch(message.evictionsoft(), true);
  return settings;
}

decide::ShutdownPeriods ShutdownPeriodsOf(const config::Config& config) {
  return {.total = config.durations.shutdown_grace_period,
          .critical = config.durations.shutdown_grace_period_critical_pods};
}

local::ServerOptions ServerOptionsOf(const config::Config& config) {
  local::ServerOptions options;
  options.socket_path = config.message.socketpath();
  options.group = config.message.socketgroup();
  options.metrics_address = config.message.metricsbindaddress();
  return options;
}

cluster::ApiServerSettings ApiServerSettingsOf(const config::Config& config, const node::MachineFacts& machine) {
  const config::Message& message = config.message;
  cluster::ApiServerSettings settings;
  settings.kubeconfig = message.kubeconfig();
  settings.node.node_name = message.nodename();
  settings.node.machine_id = machine.machine_id;
  settings.node.agent_version = ReportedVersion();
  settings.node.lease_duration = std::chrono::duration_cast<Seconds>(config.durations.node_lease_duration);
  settings.node.register_node = message.registernode();
  if (message.podsource() == "bound") settings.pod_source = decide::PodSource::kBound;
  if (message.podsource() == "bound-all") settings.pod_source = decide::PodSource::kBoundAll;
  settings.start_wait = config.durations.api_server_start_wait;
  settings.checkpoint_secrets = message.checkpointsecrets();
  return settings;
}

}  // namespace daemonsetd
