// What decide/log_rotation plans, done to real files. All functions block and may be repeated.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/decide/log_rotation.h"

namespace daemonsetd::pods {

// Regular files only; none where the directory does not exist.
Result<std::vector<decide::LogFile>> ListLogFiles(const std::string& directory);

// Size in bytes; kAbsent when there is no such file.
Result<std::int64_t> LogSize(const std::string& path);

Status RemoveLogFile(const std::string& path);

// kExists, and nothing is done, where `to` is there.
Status RenameLogFile(const std::string& from, const std::string& to);

enum class StepOutcome {
  kDone,
  // Of a compression; nothing of it stays then.
  kStillWritten,  // the runtime has not let go of the file
  kDiskFull,
  kStopped,
};
// Any step but ReopenLog, which is the runtime's. A compression (gzip) is done when it is on the disk; it ends early
// once `stop` is set.
Result<StepOutcome> CarryOut(const std::string& directory, const decide::LogStep& step, const std::atomic<bool>& stop);

// The live file of an attempt and all that was set aside of it; a path that is no attempt's log is removed alone.
Status RemoveLogFilesOf(const std::string& path);

}  // namespace daemonsetd::pods
