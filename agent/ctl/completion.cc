#include "agent/ctl/completion.h"

#include <set>

#include "agent/local/status_json.h"

namespace daemonsetd::ctl {
namespace {

constexpr char kBash[] = R"sh(# bash completion for daemonsetctl
_daemonsetctl() {
  local answer
  COMPREPLY=()
  answer=$("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || compopt -o default
  [ -z "$answer" ] || mapfile -t COMPREPLY <<<"$answer"
}
complete -F _daemonsetctl daemonsetctl
)sh";

constexpr char kZsh[] = R"sh(#compdef daemonsetctl
_daemonsetctl() {
  local answer
  answer=$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null) || _files
  [[ -z $answer ]] || compadd -- "${(@f)answer}"
}
if [ "$funcstack[1]" = "_daemonsetctl" ]; then
  _daemonsetctl "$@"
else
  compdef _daemonsetctl daemonsetctl
fi
)sh";

constexpr char kFish[] = R"sh(# fish completion for daemonsetctl
function __daemonsetctl_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..-1] 2>/dev/null
  or __fish_complete_path (commandline -ct)
end
complete -c daemonsetctl -f -a '(__daemonsetctl_complete)'
)sh";

template <class List>
std::vector<std::string> Names(const Context& context, const char* path, const std::string& object_namespace) {
  const Result<std::string> body = context.client.Get(MakeTarget(path, {{"namespace", object_namespace}}));
  List list;
  std::vector<std::string> names;
  if (!body || !local::FromJson(*body, list)) return names;
  for (const auto& item : list.items()) names.push_back(item.name());
  return names;
}

std::vector<std::string> NamesOf(const Context& context, Kind kind, const std::string& object_namespace) {
  if (kind == Kind::kDaemonSets) return Names<statusv1::DaemonSetList>(context, "/v1/daemonsets", object_namespace);
  if (kind == Kind::kPods) return Names<statusv1::PodSummaryList>(context, "/v1/pods", object_namespace);
  statusv1::NodeStatus node;
  const Result<std::string> body = kind == Kind::kNode ? context.client.Get("/v1/node") : Result<std::string>("");
  if (kind != Kind::kNode || !body || !local::FromJson(*body, node)) return {};
  return {node.name()};
}

// "daemonset/agent": what --for and restart take.
std::vector<std::string> Objects(const Context& context, const std::string& object_namespace) {
  std::vector<std::string> objects;
  for (const std::string& name : NamesOf(context, Kind::kDaemonSets, object_namespace)) {
    objects.push_back("daemonset/" + name);
  }
  for (const std::string& name : NamesOf(context, Kind::kPods, object_namespace)) objects.push_back("pod/" + name);
  return objects;
}

std::vector<std::string> Namespaces(const Context& context) {
  std::set<std::string> names;
  statusv1::DaemonSetList daemon_sets;
  statusv1::PodSummaryList pods;
  if (const auto body = context.client.Get("/v1/daemonsets"); body && local::FromJson(*body, daemon_sets)) {
    for (const auto& item : daemon_sets.items()) names.insert(item.namespace_());
  }
  if (const auto body = context.client.Get("/v1/pods"); body && local::FromJson(*body, pods)) {
    for (const auto& item : pods.items()) names.insert(item.namespace_());
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> ContainersOf(const Context& context, const std::string& object_namespace,
                                      const std::string& pod) {
  statusv1::PodSummaryList pods;
  std::vector<std::string> names;
  const auto body = context.client.Get(MakeTarget("/v1/pods", {{"namespace", object_namespace}, {"name", pod}}));
  if (!body || !local::FromJson(*body, pods)) return names;
  for (const auto& item : pods.items()) {
    for (const auto& container : item.containers()) names.push_back(container.name());
  }
  return names;
}

std::vector<std::string> Options(const std::string& verb) {
  std::vector<std::string> options = {"--help", "--socket", "--timeout"};
  const auto add = [&options](std::initializer_list<const char*> more) {
    options.insert(options.end(), more.begin(), more.end());
  };
  if (verb == "get") add({"--all-namespaces", "--namespace", "--selector", "--output", "--watch", "--no-headers"});
  if (verb == "describe" || verb == "explain") add({"--namespace"});
  if (verb == "explain" || verb == "version") add({"--output"});
  if (verb == "events") add({"--all-namespaces", "--namespace", "--for", "--watch", "--output"});
  if (verb == "restart") add({"--namespace"});
  if (verb == "join") {
    add({"--kubeconfig", "--server", "--token", "--token-file", "--ca-file", "--ca-cert-hash", "--node-name",
         "--no-coordinator", "--lifetime", "--config", "--config-dir", "--force", "--dry-run"});
  }
  if (verb == "top") add({"--all-namespaces", "--namespace", "--containers", "--no-headers", "--output"});
  if (verb == "logs")
    add({"--namespace", "--container", "--follow", "--tail", "--previous", "--since", "--timestamps"});
  return options;
}

// What is typed before the word under the cursor.
struct Typed {
  std::vector<std::string> plain;  // verb, resource, names
  std::string object_namespace = "default";
};

Typed Read(const std::vector<std::string>& words) {
  static const std::set<std::string> kWithValue = {"-n",       "--namespace", "-l",          "--selector", "-o",
                                                   "--output", "-c",          "--container", "--tail",     "--since",
                                                   "--socket", "--timeout",   "--for"};
  Typed typed;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (kWithValue.contains(words[i])) {
      if (i + 2 < words.size() && (words[i] == "-n" || words[i] == "--namespace"))
        typed.object_namespace = words[i + 1];
      ++i;
    } else if (words[i] == "-A" || words[i] == "--all-namespaces") {
      typed.object_namespace.clear();
    } else if (!words[i].starts_with("-")) {
      typed.plain.push_back(words[i]);
    }
  }
  return typed;
}

std::vector<std::string> Candidates(const Context& context, const std::vector<std::string>& words) {
  const Typed typed = Read(words);
  const std::string verb = typed.plain.empty() ? std::string() : typed.plain[0];
  const std::string before = words.size() >= 2 ? words[words.size() - 2] : std::string();
  if (before == "-n" || before == "--namespace") return Namespaces(context);
  if (before == "-o" || before == "--output") {
    if (verb == "get") return {"wide", "json", "yaml", "name"};
    if (verb == "events") return {"json", "yaml", "name"};
    return {"json", "yaml"};
  }
  if (verb == "logs" && (before == "-c" || before == "--container")) {
    return typed.plain.size() > 1 ? ContainersOf(context, typed.object_namespace, typed.plain[1])
                                  : std::vector<std::string>();
  }
  static const std::set<std::string> kFreeText = {"--server", "--token", "--ca-cert-hash", "--node-name", "--lifetime"};
  if (verb == "join" && kFreeText.contains(before)) return {};
  if (verb == "events" && before == "--for") return Objects(context, typed.object_namespace);
  if (words.back().starts_with("-")) return Options(verb);
  if (typed.plain.empty())
    return {"get", "describe", "explain", "logs", "events", "top", "restart", "join", "version", "completion"};
  if (verb == "completion") return {"bash", "zsh", "fish"};
  if (verb == "logs") return NamesOf(context, Kind::kPods, typed.object_namespace);
  if (verb == "explain") return NamesOf(context, Kind::kDaemonSets, typed.object_namespace);
  if (verb == "restart") {
    const std::optional<Kind> before_names = typed.plain.size() > 1 ? ParseKind(typed.plain[1]) : std::nullopt;
    return before_names ? NamesOf(context, *before_names, typed.object_namespace)
                        : Objects(context, typed.object_namespace);
  }
  if (verb == "top" && typed.plain.size() == 1) return {"pods", "node"};
  if (verb != "get" && verb != "describe" && verb != "top") return {};
  if (typed.plain.size() == 1) {
    return verb == "get" ? std::vector<std::string>{"status", "daemonsets", "pods", "node"}
                         : std::vector<std::string>{"daemonset", "pod", "node"};
  }
  const std::optional<Kind> kind = ParseKind(typed.plain[1]);
  return kind ? NamesOf(context, *kind, typed.object_namespace) : std::vector<std::string>();
}

}  // namespace

std::string CompletionScript(const std::string& shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return {};
}

int Complete(const Context& context, const std::vector<std::string>& words) {
  const std::vector<std::string> typed = words.empty() ? std::vector<std::string>{""} : words;
  static const std::set<std::string> kFiles = {"--socket",  "--kubeconfig", "--token-file",
                                               "--ca-file", "--config",     "--config-dir"};
  if (typed.size() >= 2 && kFiles.contains(typed[typed.size() - 2])) return kExitError;
  for (const std::string& candidate : Candidates(context, typed)) {
    if (candidate.starts_with(typed.back())) context.surroundings.out << candidate << '\n';
  }
  return kExitOk;
}

}  // namespace daemonsetd::ctl
