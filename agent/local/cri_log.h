// The CRI log format: "2026-11-25T00:18:32.123456789Z stdout F text", one record a line. A record tagged P is a piece
// of a longer line; the record tagged F ends it (cri-api, "logging"; containerd splits at 16 KiB).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/time_point.h"

namespace daemonsetd::local {

struct LogRecord {
  std::string_view time;
  std::string_view stream;  // "stdout" or "stderr"
  std::string_view text;
  bool partial = false;
};

// `line` without its line end. Nothing when it is not a record.
std::optional<LogRecord> ParseLogRecord(std::string_view line);

struct LogFormat {
  bool timestamps = false;             // each line begins with its first record's time
  std::optional<WallTime> not_before;  // lines whose first record is older are left out
};

// Turns the bytes of a log file into the lines that the container wrote. A line that is no record is passed as it is.
class LogJoiner {
 public:
  explicit LogJoiner(LogFormat format) : format_(format) {}

  // Whole lines that became complete, each with its line end. Pieces are kept; a line of more than kMaximumLine bytes
  // is cut there.
  std::string Feed(std::string_view bytes);

  // Whatever was kept: the container ended, or the reader wants no more. A trailing P record is a line then.
  std::string Flush();

  static constexpr std::size_t kMaximumLine = 1 << 20;

 private:
  struct Pending {
    std::string time;
    std::string text;
  };

  void AddRecord(std::string_view line, std::string& out);
  void Emit(std::string_view time, std::string_view text, std::string& out) const;

  LogFormat format_;
  std::string rest_;                                     // bytes of a record without its line end yet
  std::map<std::string, Pending, std::less<>> pending_;  // by stream
};

}  // namespace daemonsetd::local
