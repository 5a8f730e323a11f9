#include "agent/agent.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/base/log.h"
#include "agent/node/node_facts.h"

namespace daemonsetd {
namespace {

// Enough for a volume set-up beside a slow tear-down; idle threads cost nothing but their stack.
constexpr int kBlockingThreads = 2;
// Changes that come together are told together.
constexpr Nanoseconds kPublishSettle = std::chrono::milliseconds(50);

pods::Directories DirectoriesOf(const config::Message& config) {
  return {.pod_root = config.podroot(), .log_root = config.logdirectory(),
          .container_log_dir = config.containerlogdirectory()};
}

pods::RuntimeViewSettings ViewSettingsOf(const config::Config& config) {
  pods::RuntimeViewSettings settings;
  settings.active_poll = config.durations.runtime_poll_interval;
  settings.idle_poll = config.durations.runtime_idle_poll_interval;
  return settings;
}

local::ServerOptions ServerOptionsOf(const config::Config& config) {
  local::ServerOptions options;
  options.socket_path = config.message.socketpath();
  options.group = config.message.socketgroup();
  options.configz = config::EffectiveConfigJson(config.message);
  return options;
}

}  // namespace

Agent::Agent(async::Executor executor, config::Config config, LoadConfig load_config)
    : executor_(executor),
      config_(std::move(config)),
      load_config_(std::move(load_config)),
      blocking_(kBlockingThreads),
      runtime_(config_.message.runtimeendpoint(), executor),
      starts_(executor, config_.message.maxparallelpodstarts()),
      view_(runtime_, timeline_, executor, ViewSettingsOf(config_),
            [this](const std::string& pod_uid) { RuntimeChanged(pod_uid); }),
      images_(runtime_, timeline_, executor, config_),
      volumes_(blocking_, DirectoriesOf(config_.message)),
      services_{},
      supervisor_(services_, [this] { publish_.Notify(); }),
      manifests_(config_, [this] { ManifestsChanged(); }),
      snapshots_(executor),
      server_(executor, timeline_, snapshots_, registry_, blocking_, nullptr, ServerOptionsOf(config_)),
      publish_(executor),
      runtime_changed_(executor),
      scope_(executor) {}

}  // namespace daemonsetd
