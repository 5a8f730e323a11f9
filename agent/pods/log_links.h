// The links in /var/log/containers that log collectors follow. All functions block and may be repeated.
#pragma once

#include <string>

#include "agent/base/result.h"
#include "agent/pods/paths.h"

namespace daemonsetd::pods {

struct LogLink {
  std::string link;    // PodPaths::LogLink
  std::string target;  // PodPaths::LogPath
};

// Makes the link, or replaces what is there by it in one step. A link that is right is not touched.
Status EnsureLogLink(const LogLink& link);

// Absent links are fine.
Status RemoveLogLink(const std::string& link);

// Removes the links to the logs in a pod's directory of logs. The first error is returned after everything was tried.
Status RemoveLogLinksTo(const Directories& directories, const std::string& log_directory);

// Removes links that point beneath the log root to nothing, as a pod leaves them that ended while no agent ran. Not
// while EnsureLogLink runs on another thread. The first error is returned after everything was tried.
Status RemoveDanglingLogLinks(const Directories& directories);

// One more than the highest attempt with a log file (rotated ones too) in a container's log directory; 0 without any.
// Keeps old logs when the runtime has lost its records.
int NextAttemptFromLogs(const std::string& container_log_directory);

}  // namespace daemonsetd::pods
