// Reads the log of one container's attempt: what was set aside and compressed of it, then the live file, over
// rotations. Blocking file calls: use it on the blocking pool.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/decide/log_rotation.h"
#include "agent/local/cri_log.h"
#include "agent/local/log_file.h"

namespace daemonsetd::local {

struct LogOptions {
  LogFormat format;
  std::optional<std::int64_t> tail;  // the last N lines; unset: all of them
  bool follow = false;               // go on at the end, in the file that replaces this one
};

class LogReader {
 public:
  // `path` of the live file, which may be away for a moment. kAbsent: there is nothing of that log. Opens nothing but
  // regular files.
  static Result<LogReader> Open(std::string path, LogOptions options);

  struct Chunk {
    std::string text;     // whole lines; may be empty before the end too
    bool at_end = false;  // nothing more for now; when following, ask again later
    bool settled = true;  // no successor of this file is waiting to be read
  };
  // At most about 64 KiB of the log. After a rotation the old file is read until the runtime has let go of it: it
  // writes there until it has opened the new one. Where that cannot be known, the old file is read to its end twice,
  // one call apart.
  Result<Chunk> Read();

  // What is kept of an unfinished line. Call it once, at the end.
  std::string Flush() { return joiner_.Flush(); }

 private:
  using Stamp = decide::LogStamp;
  struct SetAside {
    Stamp stamp;
    std::string plain;       // path; empty: there is none
    std::string compressed;  // path that it has or will have
  };

  LogReader(std::string path, LogOptions options);

  // Files of this attempt that were set aside, in order.
  Result<std::vector<SetAside>> List() const;
  static Result<LogFile> OpenSetAside(const SetAside& one);
  Status OpenAll();
  Status SkipToTail();
  // Follow only, at the end of the file: true when there is something to read after all.
  Result<bool> GoOn(bool& settled);
  // False: not now.
  bool HasBeenLetGo();
  // When the file being read was set aside. Unset: it was not, as far as can be seen.
  Result<std::optional<Stamp>> OwnStamp() const;
  Result<bool> MoveToSuccessor(Stamp own);

  std::string path_;
  LogOptions options_;
  LogJoiner joiner_;
  std::deque<LogFile> files_;    // the front one is read
  std::optional<Stamp> before_;  // of the newest file older than the last of files_
  std::optional<Stamp> own_;     // of the last of files_, once it was set aside
  bool let_go_ = false;          // the runtime writes to it no more
  int looks_ = 0;                // while it does
};

}  // namespace daemonsetd::local
