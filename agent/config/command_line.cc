#include "agent/config/command_line.h"

#include <CLI/CLI.hpp>
#include <array>

#include "agent/config/reference.h"

namespace daemonsetd::config {
namespace {

struct KeyFlag {
  const char* flag;
  const char* key;
  const char* value_name;
};
constexpr std::array kKeyFlags = {
    KeyFlag{"--node-name", "nodeName", "NAME"},
    KeyFlag{"--kubeconfig", "kubeconfig", "FILE"},
    KeyFlag{"--manifest-directory", "manifestDirectory", "DIR"},
    KeyFlag{"--runtime-endpoint", "runtimeEndpoint", "unix:///PATH"},
    KeyFlag{"--socket", "socketPath", "PATH"},
    KeyFlag{"--pod-root", "podRoot", "DIR"},
    KeyFlag{"--state-directory", "stateDirectory", "DIR"},
    KeyFlag{"--log-directory", "logDirectory", "DIR"},
    KeyFlag{"--container-log-directory", "containerLogDirectory", "DIR"},
    KeyFlag{"--log-level", "logging.level", "LEVEL"},
    KeyFlag{"--log-format", "logging.format", "FORMAT"},
};

CommandLine Exit(std::string text, int code) {
  return {.action = CommandLine::Action::kExit, .text = std::move(text), .exit_code = code};
}

}  // namespace

CommandLine ParseCommandLine(int argc, const char* const* argv, const std::string& version) {
  CLI::App app("Runs Kubernetes DaemonSets on this node, through the Container Runtime Interface.", "daemonsetd");
  app.footer("Precedence: defaults < file < drop-in files < flags. Manual: daemonsetd(8).");
  std::string file;
  std::string directory;
  bool check = false;
  bool print_defaults = false;
  bool print_reference = false;
  app.add_option("--config", file, "Configuration file (default: " + std::string(kDefaultFile) + ")")
      ->type_name("FILE");
  app.add_option("--config-dir", directory,
                 "Directory of drop-in files, *.conf (default: " + std::string(kDefaultDirectory) + ")")
      ->type_name("DIR");
  app.add_flag("--check-config", check, "Check the configuration, print the effective one, and exit");
  app.add_flag("--print-default-config", print_defaults, "Print every key with its documentation, and exit");
  // For docs/generate alone: no group, so it is not in the help.
  app.add_flag("--print-config-reference", print_reference)->group("");
  app.set_version_flag("--version", "daemonsetd " + version, "Print the version, and exit");

  std::array<std::string, kKeyFlags.size()> values;
  for (std::size_t i = 0; i < kKeyFlags.size(); ++i) {
    const KeyFlag& flag = kKeyFlags[i];
    app.add_option(flag.flag, values[i], std::string(FindKey(flag.key)->doc) + " Key: " + flag.key)
        ->type_name(flag.value_name);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Exit(app.help(), 0);
  } catch (const CLI::CallForVersion&) {
    return Exit("daemonsetd " + version + "\n", 0);
  } catch (const CLI::ParseError& error) {
    return Exit(std::string("daemonsetd: ") + error.what() + "; see daemonsetd --help\n", 2);
  }
  if (print_defaults) return Exit(DocumentedDefaults(), 0);
  if (print_reference) return Exit(ReferenceTable(), 0);

  CommandLine line;
  if (check) line.action = CommandLine::Action::kCheckConfig;
  if (app.count("--config") > 0) line.sources.file = file;
  if (app.count("--config-dir") > 0) line.sources.directory = directory;
  for (std::size_t i = 0; i < kKeyFlags.size(); ++i) {
    if (app.count(kKeyFlags[i].flag) == 0) continue;
    line.sources.overrides.push_back({.flag = kKeyFlags[i].flag, .key = kKeyFlags[i].key, .value = values[i]});
  }
  return line;
}

std::string ErrorsText(const LoadResult& result) {
  std::string text;
  for (const model::DecodeError& error : result.errors) text += model::ToString(error) + "\n";
  return text;
}

CheckReport CheckConfig(const LoadResult& result) {
  if (!result.config) return {.errors = ErrorsText(result), .exit_code = 1};
  return {.output = EffectiveConfigJson(result.config->message) + "\n"};
}

}  // namespace daemonsetd::config
