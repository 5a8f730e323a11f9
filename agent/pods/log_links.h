// The links in /var/log/containers that log collectors follow. All functions block and may be repeated.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

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

// Makes every wanted link and removes those that point beneath the log root and belong to no container any more.
// `exists` says of a container ID whether the runtime has it at all, ours or not: ask only with a complete list.
// Not while EnsureLogLink runs on another thread. The first error is returned after everything was tried.
Status ReconcileLogLinks(const Directories& directories, const std::vector<LogLink>& wanted,
                         const std::function<bool(std::string_view container_id)>& exists);

// One more than the highest attempt with a log file (rotated ones too) in a container's log directory; 0 without any.
// Keeps old logs when the runtime has lost its records.
int NextAttemptFromLogs(const std::string& container_log_directory);

}  // namespace daemonsetd::pods
