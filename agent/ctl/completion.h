// Shell completion. The scripts ask the hidden verb `__complete`, so that they never grow old.
#pragma once

#include <string>
#include <vector>

#include "agent/ctl/commands.h"

namespace daemonsetd::ctl {

// Empty for a shell that is not bash, zsh or fish.
std::string CompletionScript(const std::string& shell);

// Candidates for the last of `words` (those after the program's name; the last may be empty), one a line. Quiet on
// errors: a shell must not print them into a command line. kExitError: a file is meant, and the shell itself knows
// those.
int Complete(const Context& context, const std::vector<std::string>& words);

}  // namespace daemonsetd::ctl
