// daemonsetd's flags.
#pragma once

#include <string>

#include "agent/config/config.h"

namespace daemonsetd::config {

struct CommandLine {
  enum class Action {
    kRun,
    kCheckConfig,  // load, print the effective configuration or the errors, exit 0 or 1
    kExit,         // `text` is all there is to do: help, version, the documented defaults, or a usage error
  };
  Action action = Action::kRun;
  Sources sources;
  std::string text;
  int exit_code = 0;  // with kExit. 2: the command line is wrong, and `text` belongs on standard error
};

// `version` is printed by --version.
CommandLine ParseCommandLine(int argc, const char* const* argv, const std::string& version);

// What --check-config prints, and its exit code.
struct CheckReport {
  std::string output;  // the effective configuration, for standard output
  std::string errors;  // one per line, for standard error
  int exit_code = 0;
};
CheckReport CheckConfig(const LoadResult& result);

// "config.yaml:3: maxPods: 0 is out of range; write 1 to 10000", one line per error.
std::string ErrorsText(const LoadResult& result);

}  // namespace daemonsetd::config
