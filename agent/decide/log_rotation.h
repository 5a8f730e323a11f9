// The files of one container's log directory, and what is to be done with them: when the live one is set aside, which
// are compressed, which go.
//
//   3.log                          attempt 3; the runtime writes there
//   3.log.20261125-101500          set aside then (UTC, as the kubelet names them)
//   3.log.20261125-101500.250      in the same second as the one before
//   3.log.20261125-101500.gz       compressed
//   3.log.20261125-101500.tmp      being compressed
//
// Files with other names are somebody else's.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/time_point.h"

namespace daemonsetd::decide {

// Whole milliseconds.
using LogStamp = std::chrono::time_point<std::chrono::system_clock, Milliseconds>;

struct LogFileName {
  enum class Kind { kLive, kSetAside, kCompressed, kTemporary };

  int attempt = 0;
  LogStamp stamp = LogStamp::max();  // of a live file: after all that were set aside
  Kind kind = Kind::kLive;

  auto operator<=>(const LogFileName&) const = default;
};

std::optional<LogFileName> ParseLogFileName(std::string_view name);
std::string ToString(const LogFileName& name);

struct LogFile {
  std::string name;
  std::int64_t size = 0;
};

struct LogDirectory {
  std::vector<LogFile> files;
  std::optional<int> running;  // the attempt that the runtime writes for
  std::set<int> recorded;      // attempts that the runtime has a record of, the running one too
  std::string compressing;     // a file that is being compressed: what that writes is left alone
};

struct LogLimits {
  std::int64_t max_size = std::int64_t{10} << 20;
  int max_files = 5;  // of one container, whatever the attempt and the form
};

// Names within the directory. A step is done or not, never half, and each may be the last before a crash: nothing is
// resumed, the next plan is made of what is there.
struct RemoveLog {
  std::string name;
};
// Never over another file.
struct RenameLog {
  std::string from, to;
};
// The runtime opens the live file anew, and makes it.
struct ReopenLog {
  std::string name;
};
// What was half written before is written over; the modification time is the same.
struct CompressLog {
  std::string from, to;
};
using LogStep = std::variant<RemoveLog, RenameLog, ReopenLog, CompressLog>;

std::string ToString(const LogStep& step);

struct LogPlan {
  std::vector<LogStep> steps;         // to be done now, in order
  std::vector<std::string> compress;  // files to compress when there is time, the oldest first
};

// All attempts share one bound (LG-04). The logs of attempts newer than every recorded one are left alone: the records
// are late.
LogPlan PlanLogRotation(const LogDirectory& directory, const LogLimits& limits, WallTime now);

// The steps that replace a file that was set aside by its compressed form.
std::vector<LogStep> CompressionSteps(const std::string& name);

// The oldest file that may go so that `name` can be compressed where the disk is full: older than it, and set aside.
std::optional<std::string> FreeForCompression(const std::vector<LogFile>& files, const std::string& name);

// When a file is looked at again that had `before` bytes `elapsed` ago and has `size` now: when it will be full if it
// grows on as it did, within `shortest` and `longest`.
Nanoseconds NextLogLook(std::int64_t before, std::int64_t size, Nanoseconds elapsed, std::int64_t max_size,
                        Nanoseconds shortest, Nanoseconds longest);

}  // namespace daemonsetd::decide
