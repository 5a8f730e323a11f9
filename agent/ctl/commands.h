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

// Of daemonsetctl, and of the agent when it can be reached.
int Version(const Context& context, Output output);

// Prints "error: ..." and answers the exit code that fits.
int Report(const Context& context, const Error& error);
int ReportMissing(const Context& context, Kind kind, const std::string& object_namespace, const std::string& name);

}  // namespace daemonsetd::ctl
