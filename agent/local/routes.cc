#include "agent/local/routes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <optional>

#include <fmt/format.h>

#include "agent/base/duration.h"
#include "agent/local/metrics.h"
#include "agent/local/rfc3339.h"

namespace daemonsetd::local {
namespace {

constexpr char kRestartPath[] = "/v1/restart";
constexpr std::array<std::string_view, 16> kPaths = {
    "/v1/status", "/v1/daemonsets", "/v1/pods", "/v1/node", "/v1/explain", "/v1/version", "/v1/logs", "/v1/events",
    kRestartPath, "/v1/usage",      "/pods",    "/healthz", "/livez",      "/readyz",     "/metrics", "/configz"};
constexpr char kTextType[] = "text/plain; charset=utf-8";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> Decode(std::string_view text, bool query) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && query) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return Error(ErrorKind::kInvalid, "a % in the request's target is not followed by two hex digits");
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return decoded;
}

Answer BadRequest(std::string_view error, std::string_view hint) { return ErrorAnswer(400, error, hint); }

// The first parameter that is not in `known`, as an answer.
std::optional<Answer> RefuseUnknown(const Target& target, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : target.query) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string names;
      for (const std::string_view name : known) names += (names.empty() ? "" : ", ") + std::string(name);
      return BadRequest(fmt::format("unknown parameter \"{}\" of {}", key, target.path),
                        names.empty() ? "this path takes no parameters" : "known parameters: " + names);
    }
  }
  return std::nullopt;
}

std::string Value(const Target& target, const std::string& key) {
  const auto found = target.query.find(key);
  return found == target.query.end() ? std::string() : found->second;
}

// A bare "?watch" counts as true, as does Kubernetes.
Result<bool> Flag(const Target& target, const std::string& key) {
  const auto found = target.query.find(key);
  if (found == target.query.end()) return false;
  const std::string& value = found->second;
  if (value.empty() || value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return Error(ErrorKind::kInvalid, fmt::format("parameter {}={} is neither true nor false", key, value));
}

Route RouteResource(const Target& target, Resource resource, bool selectable, const RouteSources& sources) {
  const std::optional<Answer> refused =
      selectable ? RefuseUnknown(target, {"namespace", "name", "watch"}) : RefuseUnknown(target, {"watch"});
  if (refused) return *refused;
  const Result<bool> watch = Flag(target, "watch");
  if (!watch) return BadRequest(watch.error().message(), "use watch=true or leave it away");
  const Selection selection{Value(target, "namespace"), Value(target, "name")};
  if (*watch) return WatchRoute{resource, selection};
  return Answer{.body = Render(sources.snapshot, resource, selection)};
}

Route RouteEvents(const Target& target, const RouteSources& sources) {
  if (auto refused = RefuseUnknown(target, {"namespace", "kind", "name", "watch"})) return *refused;
  const Result<bool> watch = Flag(target, "watch");
  if (!watch) return BadRequest(watch.error().message(), "use watch=true or leave it away");
  const Selection selection{Value(target, "namespace"), Value(target, "name"), Value(target, "kind")};
  if (*watch) return WatchRoute{Resource::kEvents, selection};
  return Answer{.body = Render(sources.snapshot, Resource::kEvents, selection)};
}

Route RouteRestart(const Target& target) {
  static constexpr char kHint[] = "for example POST /v1/restart?kind=DaemonSet&namespace=kube-system&name=agent";
  if (auto refused = RefuseUnknown(target, {"kind", "namespace", "name"})) return *refused;
  RestartRequest request{Value(target, "kind"), Value(target, "namespace"), Value(target, "name")};
  if (request.object_namespace.empty() || request.name.empty()) {
    return BadRequest("parameters kind, namespace and name must be given", kHint);
  }
  if (request.kind != "DaemonSet" && request.kind != "Pod") {
    return BadRequest(fmt::format("parameter kind={} is neither DaemonSet nor Pod", request.kind), kHint);
  }
  return request;
}

Route RouteLogs(const Target& target, const RouteSources& sources) {
  static constexpr char kHint[] =
      "for example /v1/logs?namespace=default&pod=agent-x7k2p&container=agent&tail=20&follow=true";
  if (auto refused = RefuseUnknown(
          target, {"namespace", "pod", "container", "tail", "follow", "previous", "since", "timestamps"})) {
    return *refused;
  }
  LogsRoute logs;
  logs.request.pod_namespace = Value(target, "namespace");
  logs.request.pod = Value(target, "pod");
  logs.request.container = Value(target, "container");
  if (logs.request.pod_namespace.empty() || logs.request.pod.empty()) {
    return BadRequest("parameters namespace and pod must be given", kHint);
  }
  const struct {
    const char* key;
    bool* into;
  } flags[] = {{"follow", &logs.options.follow},
               {"previous", &logs.request.previous},
               {"timestamps", &logs.options.format.timestamps}};
  for (const auto& flag : flags) {
    const Result<bool> value = Flag(target, flag.key);
    if (!value) return BadRequest(value.error().message(), kHint);
    *flag.into = *value;
  }
  if (const std::string tail = Value(target, "tail"); !tail.empty()) {
    std::int64_t lines = 0;
    const auto [end, error] = std::from_chars(tail.data(), tail.data() + tail.size(), lines);
    if (error != std::errc() || end != tail.data() + tail.size() || lines < 0) {
      return BadRequest(fmt::format("parameter tail={} is not a number of lines", tail), kHint);
    }
    logs.options.tail = lines;
  }
  if (const std::string since = Value(target, "since"); !since.empty()) {
    if (const auto moment = ParseRfc3339(since)) {
      logs.options.format.not_before = *moment;
    } else if (const auto age = ParseDuration(since); age && *age >= Nanoseconds::zero()) {
      logs.options.format.not_before = sources.now - *age;
    } else {
      return BadRequest(fmt::format("parameter since={} is neither a duration nor an RFC 3339 time", since),
                        "for example since=5m or since=2026-11-25T00:18:32Z");
    }
  }
  return logs;
}

Route RouteHealth(const Target& target, const RouteSources& sources) {
  if (auto refused = RefuseUnknown(target, {"verbose"})) return *refused;
  // A request that is answered at all proves that the loop turns.
  std::vector<HealthCheck> checks = {{"loop", true, ""}};
  checks.insert(checks.end(), sources.liveness.begin(), sources.liveness.end());
  const std::string name = target.path.substr(1);
  if (name == "readyz")
    checks.insert(checks.end(), sources.snapshot.readiness.begin(), sources.snapshot.readiness.end());
  const bool passed = std::all_of(checks.begin(), checks.end(), [](const HealthCheck& check) { return check.passed; });
  Answer answer;
  answer.status = passed ? 200 : 503;
  answer.content_type = kTextType;
  answer.body = passed && !target.query.contains("verbose") ? "ok" : RenderChecks(name, checks);
  return answer;
}

}  // namespace

Result<Target> ParseTarget(std::string_view target) {
  Target parsed;
  const auto question = target.find('?');
  auto path = Decode(target.substr(0, question), false);
  if (!path) return path.error();
  parsed.path = *path;
  if (parsed.path.empty() || parsed.path.front() != '/') {
    return Error(ErrorKind::kInvalid, "the request's target does not begin with /");
  }
  std::string_view query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  while (!query.empty()) {
    const auto ampersand = query.find('&');
    const std::string_view pair = query.substr(0, ampersand);
    query = ampersand == std::string_view::npos ? std::string_view() : query.substr(ampersand + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto key = Decode(pair.substr(0, equals), true);
    auto value = Decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!key) return key.error();
    if (!value) return value.error();
    if (!parsed.query.emplace(*key, *value).second) {
      return Error(ErrorKind::kInvalid, fmt::format("parameter \"{}\" comes twice", *key));
    }
  }
  return parsed;
}

Route FindRoute(std::string_view method, std::string_view target_text, const RouteSources& sources) {
  const Result<Target> parsed = ParseTarget(target_text);
  if (!parsed) return BadRequest(parsed.error().message(), "encode special characters as %XX");
  const Target& target = *parsed;
  const std::string& path = target.path;
  if (std::find(kPaths.begin(), kPaths.end(), path) == kPaths.end()) {
    std::string known;
    for (const std::string_view one : kPaths) known += (known.empty() ? "" : " ") + std::string(one);
    return ErrorAnswer(404, fmt::format("no such path: {}", path), "paths: " + known);
  }
  const std::string_view allowed = path == kRestartPath ? "POST" : "GET";
  if (method != allowed) {
    Answer answer =
        ErrorAnswer(405, fmt::format("method {} is not allowed on {}", method, path), fmt::format("use {}", allowed));
    answer.allow = allowed;
    return answer;
  }
  if (path == "/v1/status") return RouteResource(target, Resource::kStatus, false, sources);
  if (path == "/v1/node") return RouteResource(target, Resource::kNode, false, sources);
  if (path == "/v1/daemonsets") return RouteResource(target, Resource::kDaemonSets, true, sources);
  if (path == "/v1/pods") return RouteResource(target, Resource::kPods, true, sources);
  if (path == "/v1/explain") return RouteResource(target, Resource::kExplanations, true, sources);
  if (path == "/v1/events") return RouteEvents(target, sources);
  if (path == kRestartPath) return RouteRestart(target);
  if (path == "/v1/logs") return RouteLogs(target, sources);
  if (path == "/healthz" || path == "/livez" || path == "/readyz") return RouteHealth(target, sources);
  if (auto refused = RefuseUnknown(target, {})) return *refused;
  if (path == "/v1/usage") return UsageRoute{};
  if (path == "/v1/version") return Answer{.body = ToJson(sources.snapshot.status.version()) + "\n"};
  if (path == "/pods") return Answer{.body = RenderPodList(sources.snapshot)};
  if (path == "/configz") return Answer{.body = sources.configz ? sources.configz() : "{}\n"};
  std::string metrics = RenderMetrics(sources.snapshot) + sources.metrics_text() + RenderProcessMetrics();
  if (sources.accept.find("application/openmetrics-text") != std::string_view::npos) {
    return Answer{.content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
                  .body = ToOpenMetrics(metrics)};
  }
  return Answer{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = std::move(metrics)};
}

bool IsPublic(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  return path == "/metrics" || path == "/livez" || path == "/readyz" || path == "/healthz";
}

std::string_view MetricPath(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  const auto found = std::find(kPaths.begin(), kPaths.end(), path);
  return found == kPaths.end() ? "other" : *found;
}

Answer ErrorAnswer(int status, std::string_view error, std::string_view hint) {
  return Answer{.status = status, .body = RenderError(error, hint)};
}

}  // namespace daemonsetd::local
