#include "agent/ctl/commands.h"

#include <map>

#include <fmt/format.h>

#include "agent/base/version.h"
#include "agent/ctl/describe.h"
#include "agent/ctl/events.h"
#include "agent/ctl/yaml.h"
#include "agent/local/status_json.h"

namespace daemonsetd::ctl {
namespace {

const char* KindWord(Kind kind) {
  switch (kind) {
    case Kind::kStatus: return "status";
    case Kind::kDaemonSets: return "daemonset";
    case Kind::kPods: return "pod";
    case Kind::kNode: return "node";
  }
  return "";
}

// The namespaces that hold an object of that name, for the hint.
template <class List>
std::string NamespacesWith(const Context& context, const char* path, const std::string& name) {
  const Result<std::string> body = context.client.Get(MakeTarget(path, {{"name", name}}));
  List list;
  if (!body || !local::FromJson(*body, list)) return {};
  std::string found;
  for (const auto& item : list.items()) found += (found.empty() ? "" : ", ") + item.namespace_();
  return found;
}

template <class List>
int DescribeOne(const Context& context, Kind kind, const char* path, const std::string& object_namespace,
                const std::string& name) {
  const Result<std::string> body =
      context.client.Get(MakeTarget(path, {{"namespace", object_namespace}, {"name", name}}));
  if (!body) return Report(context, body.error());
  List list;
  if (const Status parsed = local::FromJson(*body, list); !parsed) return Report(context, parsed.error());
  if (list.items().empty()) return ReportMissing(context, kind, object_namespace, name);
  const Result<std::string> events = context.client.Get(
      MakeTarget("/v1/events", {{"namespace", object_namespace}, {"kind", ApiKind(kind)}, {"name", name}}));
  const WallTime now = context.surroundings.now();
  context.surroundings.out << Describe(list.items(0), now);
  // An agent that is older than daemonsetctl has none; the rest is still worth telling.
  statusv1::EventList recent;
  if (const Status parsed = events ? local::FromJson(*events, recent) : Status(events.error()); !parsed) {
    context.surroundings.err << "note: the events are unknown: " << parsed.error().message() << '\n';
    return kExitOk;
  }
  context.surroundings.out << DescribeEvents(recent, now);
  return kExitOk;
}

statusv1::Version OwnVersion() {
  const VersionFacts& facts = BuildVersion();
  statusv1::Version version;
  version.set_version(std::string(facts.version));
  version.set_git_commit(std::string(facts.git_commit));
  version.set_build_date(std::string(facts.build_date));
  version.set_compiler(std::string(facts.compiler));
  version.set_platform(std::string(facts.platform));
  return version;
}

std::string VersionLine(const char* who, const statusv1::Version& version) {
  return fmt::format("{:<14} {} (commit {}{}{}, {}, {})\n", who, version.version(), version.git_commit(),
                     version.build_date().empty() ? "" : ", built ", version.build_date(), version.compiler(),
                     version.platform());
}

// "pod/agent-x7k2p" is what -o name prints, so it is taken back.
std::string WithoutPrefix(const std::string& name) {
  const auto slash = name.rfind('/');
  return slash == std::string::npos ? name : name.substr(slash + 1);
}

}  // namespace

std::optional<Kind> ParseKind(const std::string& word) {
  static const std::map<std::string, Kind> kWords = {{"status", Kind::kStatus},
                                                     {"ds", Kind::kDaemonSets},
                                                     {"daemonset", Kind::kDaemonSets},
                                                     {"daemonsets", Kind::kDaemonSets},
                                                     {"po", Kind::kPods},
                                                     {"pod", Kind::kPods},
                                                     {"pods", Kind::kPods},
                                                     {"no", Kind::kNode},
                                                     {"node", Kind::kNode},
                                                     {"nodes", Kind::kNode}};
  const auto found = kWords.find(word);
  if (found == kWords.end()) return std::nullopt;
  return found->second;
}

const char* ApiKind(Kind kind) {
  switch (kind) {
    case Kind::kDaemonSets: return "DaemonSet";
    case Kind::kPods: return "Pod";
    case Kind::kNode: return "Node";
    case Kind::kStatus: break;
  }
  return "";
}

Result<std::vector<ObjectName>> ParseObjects(const std::vector<std::string>& words) {
  std::vector<ObjectName> objects;
  std::optional<Kind> shared;  // of "ds a b"
  for (const std::string& word : words) {
    const auto slash = word.find('/');
    if (slash == std::string::npos && !shared && objects.empty() && words.size() > 1) {
      shared = ParseKind(word);
      if (shared) continue;
    }
    const std::string kind_word = word.substr(0, slash == std::string::npos ? 0 : slash);
    // "daemonset.apps/agent" is what -o name prints.
    const auto kind = slash == std::string::npos ? shared : ParseKind(kind_word.substr(0, kind_word.find('.')));
    std::string name = slash == std::string::npos ? word : word.substr(slash + 1);
    if (!kind || name.empty() || name.find('/') != std::string::npos || (shared && slash != std::string::npos)) {
      return Error(ErrorKind::kInvalid, fmt::format("\"{}\" is no object: write daemonset/NAME or pod/NAME", word));
    }
    objects.push_back({.kind = *kind, .name = std::move(name)});
  }
  if (objects.empty()) return Error(ErrorKind::kInvalid, "no object is named: write daemonset/NAME or pod/NAME");
  return objects;
}

int Report(const Context& context, const Error& error) {
  context.surroundings.err << "error: " << error.message() << '\n';
  switch (error.kind()) {
    case ErrorKind::kRetry:
    case ErrorKind::kDenied:
    case ErrorKind::kTimeout: return kExitUnreachable;
    case ErrorKind::kAbsent: return kExitNotFound;
    default: return kExitError;
  }
}

int ReportMissing(const Context& context, Kind kind, const std::string& object_namespace, const std::string& name) {
  std::string elsewhere;
  if (kind == Kind::kDaemonSets) elsewhere = NamespacesWith<statusv1::DaemonSetList>(context, "/v1/daemonsets", name);
  if (kind == Kind::kPods) elsewhere = NamespacesWith<statusv1::PodSummaryList>(context, "/v1/pods", name);
  const std::string where = object_namespace.empty() ? "" : fmt::format(" in namespace {}", object_namespace);
  std::string hint =
      fmt::format("daemonsetctl get {}{} lists what there is", KindWord(kind), object_namespace.empty() ? "" : " -A");
  if (!elsewhere.empty()) hint = fmt::format("it exists in namespace {}: add -n", elsewhere);
  context.surroundings.err << fmt::format("error: {} \"{}\" not found{}; {}\n", KindWord(kind), name, where, hint);
  return kExitNotFound;
}

int Describe(const Context& context, Kind kind, const std::string& object_namespace, const std::string& name) {
  const std::string plain = WithoutPrefix(name);
  if (kind == Kind::kDaemonSets) {
    return DescribeOne<statusv1::DaemonSetList>(context, kind, "/v1/daemonsets", object_namespace, plain);
  }
  if (kind == Kind::kPods) {
    return DescribeOne<statusv1::PodSummaryList>(context, kind, "/v1/pods", object_namespace, plain);
  }
  const Result<std::string> body = context.client.Get("/v1/node");
  if (!body) return Report(context, body.error());
  statusv1::NodeStatus node;
  if (const Status parsed = local::FromJson(*body, node); !parsed) return Report(context, parsed.error());
  if (!plain.empty() && plain != node.name()) return ReportMissing(context, kind, "", plain);
  context.surroundings.out << Describe(node, context.surroundings.now());
  return kExitOk;
}

int Explain(const Context& context, const std::string& object_namespace, const std::string& name, Output output) {
  const std::string plain = WithoutPrefix(name);
  const Result<std::string> body =
      context.client.Get(MakeTarget("/v1/explain", {{"namespace", object_namespace}, {"name", plain}}));
  if (!body) return Report(context, body.error());
  statusv1::ExplanationList list;
  if (const Status parsed = local::FromJson(*body, list); !parsed) return Report(context, parsed.error());
  if (list.items().empty()) return ReportMissing(context, Kind::kDaemonSets, object_namespace, plain);
  std::ostream& out = context.surroundings.out;
  if (output == Output::kJson || output == Output::kYaml) {
    out << Serialise(list.items(0), output);
  } else {
    out << ExplainText(list.items(0));
  }
  return kExitOk;
}

int Logs(const Context& context, const LogsCommand& command) {
  const std::string target =
      MakeTarget("/v1/logs", {{"namespace", command.object_namespace},
                              {"pod", WithoutPrefix(command.pod)},
                              {"container", command.container},
                              {"tail", command.tail ? std::to_string(*command.tail) : std::string()},
                              {"follow", command.follow ? "true" : ""},
                              {"previous", command.previous ? "true" : ""},
                              {"timestamps", command.timestamps ? "true" : ""},
                              {"since", command.since}});
  std::ostream& out = context.surroundings.out;
  const Client::OnData on_data = [&out](std::string_view piece) {
    out << piece;
    out.flush();
    return out.good();
  };
  const Status streamed = context.client.Stream(target, on_data);
  return streamed ? kExitOk : Report(context, streamed.error());
}

int Version(const Context& context, Output output) {
  const statusv1::Version own = OwnVersion();
  statusv1::Version agent;
  const Result<std::string> body = context.client.Get("/v1/version");
  const bool known = body && local::FromJson(*body, agent);
  std::ostream& out = context.surroundings.out;
  if (output == Output::kJson || output == Output::kYaml) {
    std::string json = fmt::format("{{\"clientVersion\":{}", local::ToJson(own));
    if (known) json += fmt::format(",\"agentVersion\":{}", local::ToJson(agent));
    json += "}";
    out << (output == Output::kYaml ? JsonToYaml(json) : json + "\n");
  } else {
    out << VersionLine("daemonsetctl", own);
    if (known) out << VersionLine("daemonsetd", agent);
  }
  // The client's own version was asked for and told, so this is no failure; but it is said.
  if (!body) context.surroundings.err << "note: the agent's version is unknown: " << body.error().message() << '\n';
  return kExitOk;
}

}  // namespace daemonsetd::ctl
