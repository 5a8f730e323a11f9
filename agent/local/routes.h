// From a request's method and target to what it asks for. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "agent/local/log_reader.h"
#include "agent/local/snapshot.h"

namespace daemonsetd::local {

struct Target {
  std::string path;                          // percent-decoded
  std::map<std::string, std::string> query;  // decoded; kInvalid when a key comes twice
};
Result<Target> ParseTarget(std::string_view target);

struct Answer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;  // of a 405
};

// Stream the changes of a resource until the client leaves.
struct WatchRoute {
  Resource resource;
  Selection selection;
};

struct LogRequest {
  std::string pod_namespace;
  std::string pod;
  std::string container;  // empty: the only container
  bool previous = false;  // the attempt before the present one
};

struct LogsRoute {
  LogRequest request;
  LogOptions options;
};

// Ends a pod so that a new one takes its place.
struct RestartRequest {
  std::string kind;  // "DaemonSet" or "Pod"
  std::string object_namespace;
  std::string name;
};

struct UsageRoute {};

using Route = std::variant<Answer, WatchRoute, LogsRoute, RestartRequest, UsageRoute>;

// What answers are made from. All of it outlives the call only.
struct RouteSources {
  const Snapshot& snapshot;
  WallTime now;
  const std::function<std::string()>& configz;       // the configuration in force, as JSON; null: an empty object
  const std::function<std::string()>& metrics_text;  // what the agent measures, Prometheus' text form
  std::string_view accept = {};                      // the request's header of that name
  std::vector<HealthCheck> liveness = {};
};

Route FindRoute(std::string_view method, std::string_view target, const RouteSources& sources);

// Whether it is served on the network too, where anybody may ask: metrics and health, nothing of the pods themselves.
bool IsPublic(std::string_view target);

// The path when it is one that is served, else "other": bounds the cardinality of the request counter.
std::string_view MetricPath(std::string_view target);

// An error of ours as an HTTP answer.
Answer ErrorAnswer(int status, std::string_view error, std::string_view hint);

}  // namespace daemonsetd::local
