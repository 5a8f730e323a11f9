// The verbs. Each prints to `out`, tells errors to `err` with what to do next, and answers the exit code.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/ctl/cli.h"
#include "agent/ctl/client.h"

namespace daemonsetd::ctl {

struct Context {
  const Client& client;
  const Surroundings& surroundings;
};

enum class Kind { kStatus, kDaemonSets, kPods, kNode };
// "ds", "daemonset", "daemonsets", "po", ... as kubectl takes them.
std::optional<Kind> ParseKind(const std::string& word);

// "DaemonSet", "Pod" or "Node": what an Event's involvedObject says.
const char* ApiKind(Kind kind);

struct ObjectName {
  Kind kind = Kind::kPods;
  std::string name;
};
// "daemonset/agent", "ds agent", "pod/a pod/b": one object or several, as kubectl takes them. kInvalid: none, or a word
// that is no object.
Result<std::vector<ObjectName>> ParseObjects(const std::vector<std::string>& words);

enum class Output { kTable, kWide, kJson, kYaml, kName };

struct GetRequest {
  Kind kind = Kind::kStatus;
  std::vector<std::string> names;  // empty: all
  std::string object_namespace = "default";
  bool all_namespaces = false;
  std::string selector;
  Output output = Output::kTable;
  bool watch = false;
  bool heads = true;
};
int Get(const Context& context, const GetRequest& request);

int Describe(const Context& context, Kind kind, const std::string& object_namespace, const std::string& name);
int Explain(const Context& context, const std::string& object_namespace, const std::string& name, Output output);

struct LogsCommand {
  std::string object_namespace = "default";
  std::string pod;
  std::string container;
  bool follow = false;
  std::optional<long long> tail;
  bool previous = false;
  std::string since;
  bool timestamps = false;
};
int Logs(const Context& context, const LogsCommand& command);

struct EventsCommand {
  std::string object_namespace = "default";
  bool all_namespaces = false;
  std::string about_kind;  // ApiKind; empty: everything
  std::string about_name;
  Output output = Output::kTable;
  bool watch = false;
};
int ShowEvents(const Context& context, const EventsCommand& command);

struct RestartCommand {
  std::string object_namespace = "default";
  std::vector<ObjectName> objects;  // DaemonSets and pods
};
int Restart(const Context& context, const RestartCommand& command);

struct TopCommand {
  Kind kind = Kind::kPods;  // or the node
  std::string name;         // empty: all
  std::string object_namespace = "default";
  bool all_namespaces = false;
  bool containers = false;
  bool heads = true;
  Output output = Output::kTable;
};
int Top(const Context& context, const TopCommand& command);

// Of daemonsetctl, and of the agent when it can be reached.
int Version(const Context& context, Output output);

// Prints "error: ..." and answers the exit code that fits.
int Report(const Context& context, const Error& error);
int ReportMissing(const Context& context, Kind kind, const std::string& object_namespace, const std::string& name);

}  // namespace daemonsetd::ctl
