#include "agent/ctl/cli.h"

#include <map>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "agent/base/duration.h"
#include "agent/ctl/commands.h"
#include "agent/ctl/completion.h"
#include "agent/ctl/join.h"

namespace daemonsetd::ctl {
namespace {

constexpr char kDefaultSocket[] = "/run/daemonsetd/daemonsetd.sock";

constexpr char kFooter[] = R"(
Exit codes: 0 done, 1 error, 2 wrong usage, 3 not found, 4 the agent cannot be reached.

Examples:
  daemonsetctl get status
  daemonsetctl get ds -A
  daemonsetctl explain agent -n kube-system
  daemonsetctl logs agent-x7k2p -f --tail 20)";

const std::map<std::string, Output> kGetOutputs = {
    {"wide", Output::kWide}, {"json", Output::kJson}, {"yaml", Output::kYaml}, {"name", Output::kName}};
const std::map<std::string, Output> kEventOutputs = {
    {"json", Output::kJson}, {"yaml", Output::kYaml}, {"name", Output::kName}};
const std::map<std::string, Output> kPlainOutputs = {{"json", Output::kJson}, {"yaml", Output::kYaml}};

// Everything that may be given, in one place, so that the parser's references stay valid.
struct Given {
  std::string socket;
  std::string timeout = "10s";
  std::string kind;
  std::vector<std::string> names;
  std::string output;
  GetRequest get;
  LogsCommand logs;
  long long tail = -1;
  std::string shell;
  EventsCommand events;
  std::string about;
  RestartCommand restart;
  TopCommand top;
  JoinCommand join;
};

class HelpFormatter final : public CLI::Formatter {
  // "name...", as where there is no limit, of what may be given twice: by itself it would be "name(1x)".
  std::string make_option_usage(const CLI::Option* option) const override {
    std::string usage = CLI::Formatter::make_option_usage(option);
    if (const std::size_t times = usage.find("(1x)"); times != std::string::npos) usage.replace(times, 4, "...");
    return usage;
  }
};

std::string OneOf(const std::map<std::string, Output>& outputs, const std::string& value) {
  if (outputs.contains(value)) return {};
  std::string known;
  for (const auto& [name, output] : outputs) known += (known.empty() ? "" : ", ") + name;
  return fmt::format("unknown output \"{}\": choose one of {}", value, known);
}

void AddOutput(CLI::App& verb, Given& given, const std::map<std::string, Output>& outputs, const char* words) {
  verb.add_option("-o,--output", given.output, words)
      ->type_name("FORMAT")
      ->check([&outputs](const std::string& value) { return OneOf(outputs, value); }, "");
}

void AddNamespace(CLI::App& verb, std::string& into) {
  verb.add_option("-n,--namespace", into, "Namespace of the object (default: default)")->type_name("NAME");
}

std::string CheckKind(const std::string& word) {
  return ParseKind(word)
             ? ""
             : fmt::format("unknown resource \"{}\": choose status, daemonsets (ds), pods (po) or node (no)", word);
}

std::string CheckDuration(const std::string& text) {
  const auto duration = ParseDuration(text);
  return duration && *duration > Nanoseconds::zero()
             ? ""
             : fmt::format("\"{}\" is not a duration: for example 5m or 1h30m", text);
}

int WrongUsage(const Surroundings& surroundings, const std::string& message) {
  surroundings.err << "error: " << message << '\n';
  return kExitUsage;
}

// Names after "explain" or "describe": kubectl users type the resource where it could be left out.
std::string LastName(const Given& given) { return given.names.empty() ? std::string() : given.names.back(); }

// The hidden verb `__complete -- WORD...`. Half a command line is wrong usage to the parser, so it is kept away from
// it.
int RunComplete(const std::vector<std::string>& arguments, const Surroundings& surroundings) {
  std::vector<std::string> words(arguments.begin() + 1, arguments.end());
  if (!words.empty() && words.front() == "--") words.erase(words.begin());
  std::string socket = surroundings.default_socket.empty() ? kDefaultSocket : surroundings.default_socket;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--socket") socket = words[i + 1];
  }
  // Nobody waits longer for a completion.
  const Client client(socket, Seconds(2));
  return Complete({client, surroundings}, words);
}

}  // namespace

int Run(const std::vector<std::string>& arguments, Surroundings surroundings) {
  if (!arguments.empty() && arguments[0] == "__complete") return RunComplete(arguments, surroundings);
  Given given;
  given.socket = surroundings.default_socket.empty() ? kDefaultSocket : surroundings.default_socket;

  CLI::App app("Shows what daemonsetd runs on this node, and why.", "daemonsetctl");
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  app.footer(kFooter);
  app.fallthrough();  // global options may come after the verb
  app.add_option("--socket", given.socket,
                 fmt::format("The agent's socket (environment: DAEMONSETD_SOCKET; default: {})", kDefaultSocket))
      ->type_name("PATH");
  CLI::Option* timeout_option =
      app.add_option("--timeout", given.timeout, "How long to wait for the agent (default: 10s)")
          ->type_name("DURATION")
          ->check(CheckDuration, "");

  CLI::App* get = app.add_subcommand("get", "List resources: status, daemonsets (ds), pods (po), node (no)");
  get->footer("\nExamples:\n  daemonsetctl get ds -A -o wide\n  daemonsetctl get pods -n kube-system -l app=agent -w");
  get->add_option("resource", given.kind, "status, daemonsets (ds), pods (po) or node (no)")
      ->required()
      ->check(CheckKind, "");
  get->add_option("name", given.names, "Only these");
  AddNamespace(*get, given.get.object_namespace);
  get->add_flag("-A,--all-namespaces", given.get.all_namespaces, "All namespaces");
  get->add_option("-l,--selector", given.get.selector, "Label selector: app=agent,tier!=db,zone in (a,b)")
      ->type_name("SELECTOR");
  AddOutput(*get, given, kGetOutputs, "wide, json, yaml or name");
  get->add_flag("-w,--watch", given.get.watch, "Go on and print what changes");
  bool no_headers = false;
  get->add_flag("--no-headers", no_headers, "Leave the column heads away");

  CLI::App* describe = app.add_subcommand("describe", "Show one daemonset, pod or node in full");
  describe->footer("\nExamples:\n  daemonsetctl describe ds agent -n kube-system\n  daemonsetctl describe node");
  describe->add_option("resource", given.kind, "daemonset (ds), pod (po) or node (no)")
      ->required()
      ->check(CheckKind, "");
  describe->add_option("name", given.names, "The object's name");
  AddNamespace(*describe, given.get.object_namespace);

  CLI::App* explain = app.add_subcommand("explain", "Why a DaemonSet runs on this node, or does not");
  explain->footer(
      "\nExamples:\n  daemonsetctl explain agent -n kube-system\n  daemonsetctl explain daemonset agent -o yaml");
  explain->add_option("name", given.names, "[daemonset] NAME")->required()->expected(1, 2);
  AddNamespace(*explain, given.get.object_namespace);
  AddOutput(*explain, given, kPlainOutputs, "json or yaml");

  CLI::App* logs = app.add_subcommand("logs", "Print what a container wrote");
  logs->footer(
      "\nExamples:\n  daemonsetctl logs agent-x7k2p -c agent --since 5m\n  daemonsetctl logs agent-x7k2p --previous");
  logs->add_option("pod", given.logs.pod, "The pod's name")->required();
  AddNamespace(*logs, given.logs.object_namespace);
  logs->add_option("-c,--container", given.logs.container, "The container's name; may be left away when there is one")
      ->type_name("NAME");
  logs->add_flag("-f,--follow", given.logs.follow, "Go on until the container ends");
  CLI::Option* tail = logs->add_option("--tail", given.tail, "Only the last N lines; -1: all")
                          ->type_name("N")
                          ->check(CLI::Range(-1LL, 1LL << 40).description(""));
  logs->add_flag("-p,--previous", given.logs.previous, "Of the run before the present one");
  logs->add_option("--since", given.logs.since, "Only what is younger, for example 5m")
      ->type_name("DURATION")
      ->check(CheckDuration, "");
  logs->add_flag("--timestamps", given.logs.timestamps, "Begin each line with its time");

  CLI::App* events = app.add_subcommand("events", "What happened to the pods and DaemonSets of this node");
  events->footer(
      "\nThe agent keeps the newest events in memory, since its start.\n\nExamples:\n  daemonsetctl events -A -w\n"
      "  daemonsetctl events --for pod/agent-x7k2p -n kube-system");
  AddNamespace(*events, given.events.object_namespace);
  events->add_flag("-A,--all-namespaces", given.events.all_namespaces, "All namespaces");
  events->add_option("--for", given.about, "Only those about this object: pod/NAME or daemonset/NAME")
      ->type_name("OBJECT");
  events->add_flag("-w,--watch", given.events.watch, "Go on and print what happens");
  AddOutput(*events, given, kEventOutputs, "json, yaml or name");

  CLI::App* restart = app.add_subcommand("restart", "Stop a pod gracefully and start a new one in its place");
  restart->footer(
      "\nA DaemonSet is restarted by way of its pod on this node; other nodes are not touched.\n\nExamples:\n"
      "  daemonsetctl restart daemonset/agent -n kube-system\n  daemonsetctl restart pod/agent-x7k2p");
  restart->add_option("object", given.names, "daemonset/NAME or pod/NAME")->required();
  AddNamespace(*restart, given.restart.object_namespace);

  CLI::App* top = app.add_subcommand("top", "CPU and memory that the containers use: pods (po) or node (no)");
  top->footer(
      "\nCPU is an average over about one second, in thousandths of a core; memory is the working set. For the node, "
      "the\n"
      "sum of its pods against what is allocatable.\n\nExamples:\n  daemonsetctl top pods -A\n"
      "  daemonsetctl top pod agent-x7k2p --containers\n  daemonsetctl top node");
  top->add_option("resource", given.kind, "pods (po) or node (no); default: pods")->check(CheckKind, "");
  top->add_option("name", given.top.name, "Only this one");
  AddNamespace(*top, given.top.object_namespace);
  top->add_flag("-A,--all-namespaces", given.top.all_namespaces, "All namespaces");
  top->add_flag("--containers", given.top.containers, "One line a container");
  top->add_flag("--no-headers", no_headers, "Leave the column heads away");
  AddOutput(*top, given, kPlainOutputs, "json or yaml");

  const CLI::App* join = AddJoin(app, given.join);

  CLI::App* version = app.add_subcommand("version", "Versions of daemonsetctl and of the agent");
  version->footer("\nExample:\n  daemonsetctl version -o json");
  AddOutput(*version, given, kPlainOutputs, "json or yaml");

  CLI::App* completion = app.add_subcommand("completion", "Print a completion script for a shell");
  completion->footer("\nExample:\n  source <(daemonsetctl completion bash)");
  completion->add_option("shell", given.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    // Help is success and goes to `out`; all the rest is wrong usage.
    const int code = app.exit(error, surroundings.out, surroundings.err);
    return code == 0 ? kExitOk : kExitUsage;
  }

  const auto timeout = ParseDuration(given.timeout);
  if (join->parsed()) {
    if (timeout_option->count() > 0) given.join.timeout = *timeout;
    return Join(surroundings, given.join);
  }
  const Client client(given.socket, *timeout);
  const Context context{client, surroundings};
  const auto output = kGetOutputs.find(given.output);
  const Output chosen = output == kGetOutputs.end() ? Output::kTable : output->second;

  if (get->parsed()) {
    given.get.kind = *ParseKind(given.kind);
    given.get.names = given.names;
    given.get.output = chosen;
    given.get.heads = !no_headers;
    return Get(context, given.get);
  }
  if (describe->parsed()) {
    const Kind kind = *ParseKind(given.kind);
    if (kind == Kind::kStatus || given.names.size() > 1 || (given.names.empty() && kind != Kind::kNode)) {
      surroundings.err << "error: describe takes a resource and one name: daemonsetctl describe daemonset NAME\n";
      return kExitUsage;
    }
    return Describe(context, kind, given.get.object_namespace, LastName(given));
  }
  if (explain->parsed()) {
    if (given.names.size() == 2 && ParseKind(given.names[0]) != Kind::kDaemonSets) {
      surroundings.err << "error: only DaemonSets are explained: daemonsetctl explain daemonset NAME\n";
      return kExitUsage;
    }
    return Explain(context, given.get.object_namespace, LastName(given), chosen);
  }
  if (events->parsed()) {
    if (!given.about.empty()) {
      const auto about = ParseObjects({given.about});
      if (!about) return WrongUsage(surroundings, about.error().message());
      given.events.about_kind = ApiKind(about->front().kind);
      given.events.about_name = about->front().name;
    }
    given.events.output = chosen;
    return ShowEvents(context, given.events);
  }
  if (restart->parsed()) {
    auto objects = ParseObjects(given.names);
    if (!objects) return WrongUsage(surroundings, objects.error().message());
    for (const ObjectName& object : *objects) {
      if (object.kind != Kind::kDaemonSets && object.kind != Kind::kPods) {
        return WrongUsage(surroundings, "only DaemonSets and pods are restarted: daemonsetctl restart daemonset/NAME");
      }
    }
    given.restart.objects = std::move(*objects);
    return Restart(context, given.restart);
  }
  if (top->parsed()) {
    if (!given.kind.empty()) given.top.kind = *ParseKind(given.kind);
    if (given.top.kind != Kind::kPods && given.top.kind != Kind::kNode) {
      return WrongUsage(surroundings, "top shows pods or the node: daemonsetctl top pods");
    }
    given.top.heads = !no_headers;
    given.top.output = chosen;
    return Top(context, given.top);
  }
  if (logs->parsed()) {
    if (tail->count() > 0 && given.tail >= 0) given.logs.tail = given.tail;
    return Logs(context, given.logs);
  }
  if (version->parsed()) return Version(context, chosen);
  surroundings.out << CompletionScript(given.shell);
  return kExitOk;
}

}  // namespace daemonsetd::ctl
