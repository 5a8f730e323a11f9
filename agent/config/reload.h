// What a changed configuration does to a running agent. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/config/config.h"

namespace daemonsetd::config {

struct ChangedKey {
  std::string key;
  std::string before, after;  // for people; empty for lists and maps
  bool takes_effect;          // false: needs a restart
};

struct ReloadReport {
  std::vector<ChangedKey> changes;  // in the order of the reference

  bool NeedsRestart() const;
  // One line for the log and the status: `maxPods 110 -> 50; restart needed for podRoot "/a" -> "/b"`.
  std::string Text() const;
};

// `running` is what the agent goes by now: after a reload, that is ApplyReload()'s answer, so a key that still waits
// for a restart is reported again.
ReloadReport Reload(const Config& running, const Config& loaded);

// `running` with the reloadable keys of `loaded`.
Config ApplyReload(const Config& running, const Config& loaded);

}  // namespace daemonsetd::config
