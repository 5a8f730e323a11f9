#include "agent/config/config.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "agent/base/duration.h"
#include "agent/config/reference.h"
#include "agent/config/validate.h"
#include "agent/decide/eviction_signals.h"

namespace daemonsetd::config {
namespace {

constexpr std::size_t kFileLimit = 1 << 20;
constexpr std::size_t kDropInLimit = 256;
constexpr std::string_view kOwnTaint = "daemonsetd.dev/daemonsets-only";
constexpr std::string_view kBoundAll = "bound-all";

std::string WithoutSpareSlashes(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

void FillIn(Message& message, Origins& origins, const Surroundings& surroundings) {
  // "[]" in a file means no taint; only silence means the default. A node of bound-all takes ordinary pods.
  if (!origins.Has("nodeTaints") && message.podsource() != kBoundAll) {
    auto& taint = *message.add_nodetaints();
    taint.set_key(std::string(kOwnTaint));
    taint.set_effect("NoSchedule");
  }
  if (!message.has_nodename()) {
    message.set_nodename(surroundings.host_name);
    origins.Set("nodeName", {.source = "host name"});
  }
  if (!message.has_runtimeendpoint() && surroundings.runtime_endpoint) {
    message.set_runtimeendpoint(*surroundings.runtime_endpoint);
    origins.Set("runtimeEndpoint", {.source = "environment variable CONTAINER_RUNTIME_ENDPOINT"});
  }
  for (const Key& key : Reference()) {
    if (!key.default_text.empty() && !IsSet(message, key.path)) SetScalar(message, key.path, key.default_text);
    const bool is_path = key.form == Form::kPath || key.form == Form::kSocketPath || key.form == Form::kOptionalPath;
    if (is_path && IsSet(message, key.path)) {
      SetScalar(message, key.path, WithoutSpareSlashes(ScalarText(message, key.path)));
    }
  }
  for (const decide::EvictionSignalName& signal : decide::kEvictionSignals) {
    if (signal.default_hard.empty()) continue;
    message.mutable_evictionhard()->insert({std::string(signal.name), std::string(signal.default_hard)});
  }
  if (!message.has_imageserviceendpoint()) {
    message.set_imageserviceendpoint(message.runtimeendpoint());
    origins.Set("imageServiceEndpoint", origins.Find("runtimeEndpoint"));
  }
}

Durations ReadDurations(const Message& message) {
  const auto read = [&](std::string_view key) { return ParseDuration(ScalarText(message, key)).value(); };
  return {
      .node_lease_duration = read("nodeLeaseDuration"),
      .api_server_start_wait = read("apiServerStartWait"),
      .rollout_progress_deadline = read("rolloutProgressDeadline"),
      .file_check_frequency = read("fileCheckFrequency"),
      .runtime_request_timeout = read("runtimeRequestTimeout"),
      .image_pull_timeout = read("imagePullTimeout"),
      .image_pull_progress_timeout = read("imagePullProgressTimeout"),
      .image_minimum_gc_age = read("imageMinimumGCAge"),
      .image_gc_period = read("imageGCPeriod"),
      .eviction_pressure_transition_period = read("evictionPressureTransitionPeriod"),
      .container_log_monitor_interval = read("containerLogMonitorInterval"),
      .runtime_poll_interval = read("runtimePollInterval"),
      .runtime_idle_poll_interval = read("runtimeIdlePollInterval"),
      .shutdown_timeout = read("shutdownTimeout"),
      .shutdown_grace_period = read("shutdownGracePeriod"),
      .shutdown_grace_period_critical_pods = read("shutdownGracePeriodCriticalPods"),
      .crash_loop_back_off = {.initial = read("crashLoopBackOff.initial"),
                              .maximum = read("crashLoopBackOff.max"),
                              .reset_after = read("crashLoopBackOff.reset")},
  };
}

Result<std::string> ReadBounded(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return Error(errno == ENOENT ? ErrorKind::kAbsent : ErrorKind::kInvalid,
                 fmt::format("can't be read: {}", std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) return Error(ErrorKind::kInvalid, "not a regular file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error(ErrorKind::kInvalid, fmt::format("can't be read: {}", std::strerror(errno)));
  std::string text(kFileLimit + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return Error(ErrorKind::kInvalid, "can't be read: input/output error");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kFileLimit) return Error(ErrorKind::kInvalid, "larger than 1 MiB; a configuration file is small");
  return text;
}

void AddLayer(const std::string& path, bool may_be_absent, std::vector<Layer>& layers,
              std::vector<model::DecodeError>& errors) {
  Result<std::string> text = ReadBounded(path);
  if (text) {
    layers.push_back({.file = path, .text = std::move(*text)});
  } else if (text.error().kind() != ErrorKind::kAbsent || !may_be_absent) {
    errors.push_back({.file = path, .message = text.error().message()});
  }
}

std::vector<std::string> DropIns(const std::string& directory, bool may_be_absent,
                                 std::vector<model::DecodeError>& errors) {
  std::vector<std::string> paths;
  std::error_code code;
  for (std::filesystem::directory_iterator it(directory, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.') || !name.ends_with(".conf")) continue;
    paths.push_back(it->path().string());
    if (paths.size() > kDropInLimit) {
      errors.push_back(
          {.file = directory, .message = fmt::format("more than {} drop-in files; merge some", kDropInLimit)});
      return {};
    }
  }
  if (code && !(may_be_absent && code == std::errc::no_such_file_or_directory)) {
    errors.push_back({.file = directory, .message = fmt::format("can't be listed: {}", code.message())});
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

Surroundings ReadSurroundings() {
  Surroundings surroundings;
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) == 0) surroundings.host_name = name;
  std::transform(surroundings.host_name.begin(), surroundings.host_name.end(), surroundings.host_name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (const char* endpoint = std::getenv("CONTAINER_RUNTIME_ENDPOINT"); endpoint != nullptr && *endpoint != '\0') {
    surroundings.runtime_endpoint = endpoint;
  }
  return surroundings;
}

LoadResult Build(const std::vector<Layer>& layers, const std::vector<Override>& overrides,
                 const Surroundings& surroundings) {
  Merged merged = Merge(layers);
  for (const Override& flag : overrides) {
    SetScalar(merged.message, flag.key, flag.value);
    merged.origins.Set(flag.key, {.source = flag.flag});
  }
  FillIn(merged.message, merged.origins, surroundings);

  LoadResult result;
  result.errors = std::move(merged.errors);
  for (Problem& problem : Validate(merged.message)) {
    Origin origin = merged.origins.Find(problem.key);
    if (origin.source.empty()) origin = merged.origins.Find(problem.other);
    result.errors.push_back(
        {.file = origin.source, .line = origin.line, .field = problem.key, .message = std::move(problem.message)});
  }
  const auto rank = [&](const std::string& source) {
    const auto layer = std::find_if(layers.begin(), layers.end(), [&](const Layer& l) { return l.file == source; });
    return layer - layers.begin();
  };
  std::multimap<std::pair<std::ptrdiff_t, int>, model::DecodeError> ordered;
  for (model::DecodeError& error : result.errors) {
    const std::pair place(rank(error.file), error.line);
    ordered.emplace(place, std::move(error));
  }
  result.errors.clear();
  for (auto& [place, error] : ordered) result.errors.push_back(std::move(error));
  if (!result.errors.empty()) return result;

  Config config{.message = std::move(merged.message)};
  config.durations = ReadDurations(config.message);
  for (const Layer& layer : layers) config.files.push_back(layer.file);
  result.config = std::move(config);
  return result;
}

LoadResult Load(const Sources& sources, const Surroundings& surroundings) {
  std::vector<Layer> layers;
  std::vector<model::DecodeError> errors;
  AddLayer(sources.file.value_or(std::string(kDefaultFile)), !sources.file.has_value(), layers, errors);
  const std::string directory = sources.directory.value_or(std::string(kDefaultDirectory));
  for (const std::string& path : DropIns(directory, !sources.directory.has_value(), errors)) {
    AddLayer(path, /*may_be_absent=*/false, layers, errors);
  }
  LoadResult result = Build(layers, sources.overrides, surroundings);
  if (!errors.empty()) {
    result.errors.insert(result.errors.begin(), errors.begin(), errors.end());
    result.config.reset();
  }
  return result;
}

std::string EffectiveConfigJson(const Message& message, int indent) {
  return model::EncodeJson(message, {}, {}, indent);
}

}  // namespace daemonsetd::config
