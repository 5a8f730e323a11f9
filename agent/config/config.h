// The effective configuration: defaults, then the file, then the drop-in files, then the flags.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/backoff.h"
#include "agent/config/document.h"

namespace daemonsetd::config {

inline constexpr std::string_view kDefaultFile = "/etc/daemonsetd/config.yaml";
inline constexpr std::string_view kDefaultDirectory = "/etc/daemonsetd/config.d";

// The duration keys, read once.
struct Durations {
  Nanoseconds node_lease_duration;
  Nanoseconds api_server_start_wait;  // zero: none
  Nanoseconds rollout_progress_deadline;
  Nanoseconds file_check_frequency;  // zero: never
  Nanoseconds runtime_request_timeout;
  Nanoseconds image_pull_timeout;
  Nanoseconds image_pull_progress_timeout;  // zero: none
  Nanoseconds image_minimum_gc_age;
  Nanoseconds image_gc_period;
  Nanoseconds eviction_pressure_transition_period;
  Nanoseconds container_log_monitor_interval;
  Nanoseconds runtime_poll_interval;
  Nanoseconds runtime_idle_poll_interval;
  Nanoseconds shutdown_timeout;
  Nanoseconds shutdown_grace_period;  // zero: shutdowns of the machine are not waited for
  Nanoseconds shutdown_grace_period_critical_pods;
  BackoffLimits crash_loop_back_off;
};

// Valid and complete: every key with a default is set. Paths are without trailing and doubled slashes.
struct Config {
  Message message;
  Durations durations;
  std::vector<std::string> files;  // that were read, in order
};

// A flag that names a key: it wins over every file.
struct Override {
  std::string flag;  // "--node-name"
  std::string key;   // "nodeName"
  std::string value;
};

// What the machine contributes where nothing else is said.
struct Surroundings {
  std::string host_name;
  std::optional<std::string> runtime_endpoint;  // the environment variable CONTAINER_RUNTIME_ENDPOINT
};
Surroundings ReadSurroundings();

struct Sources {
  std::optional<std::string> file;       // unset: kDefaultFile, which may be absent
  std::optional<std::string> directory;  // unset: kDefaultDirectory, which may be absent
  std::vector<Override> overrides;
};

struct LoadResult {
  std::optional<Config> config;            // unset when there are errors
  std::vector<model::DecodeError> errors;  // all at once, by layer and line
};

// Pure.
LoadResult Build(const std::vector<Layer>& layers, const std::vector<Override>& overrides,
                 const Surroundings& surroundings);

// Reads the files (at most 1 MiB each), then Build(). Drop-ins: `*.conf` without a leading dot, by the bytes of their
// names.
LoadResult Load(const Sources& sources, const Surroundings& surroundings);

// As /configz and --check-config show it. `indent` 0: one line.
std::string EffectiveConfigJson(const Message& message, int indent = 2);

}  // namespace daemonsetd::config
