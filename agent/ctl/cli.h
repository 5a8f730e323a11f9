// daemonsetctl as a function, so that tests run it in their own process.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "agent/base/time_point.h"

namespace daemonsetd::ctl {

enum ExitCode : int {
  kExitOk = 0,
  kExitError = 1,
  kExitUsage = 2,
  kExitNotFound = 3,
  kExitUnreachable = 4,
};

struct Surroundings {
  std::ostream& out;
  std::ostream& err;
  std::function<WallTime()> now;  // AGE columns count from here
  std::string default_socket;     // DAEMONSETD_SOCKET; empty: the compiled-in path
};

// `arguments` without the program's name. Answers the exit code.
int Run(const std::vector<std::string>& arguments, Surroundings surroundings);

}  // namespace daemonsetd::ctl
