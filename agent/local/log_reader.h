// Reads one container's log file, over rotations. Blocking file calls: use it on the blocking pool.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/local/cri_log.h"

namespace daemonsetd::local {

struct LogOptions {
  LogFormat format;
  std::optional<std::int64_t> tail;  // the last N lines of the present file; unset: all of it
  bool follow = false;               // go on at the end, in the file that replaces this one
};

class LogReader {
 public:
  // kAbsent: no such file. Opens nothing but regular files.
  static Result<LogReader> Open(std::string path, LogOptions options);

  LogReader(LogReader&& other) noexcept;
  LogReader& operator=(LogReader&& other) noexcept;
  ~LogReader();

  struct Chunk {
    std::string text;     // whole lines; may be empty before the end too
    bool at_end = false;  // nothing more for now; when following, ask again later
    bool settled = true;  // no successor of this file is waiting to be read
  };
  // At most about 64 KiB of the file. After a rotation the old file is read to its end twice, one call apart, because
  // the runtime writes there until it has opened the new one.
  Result<Chunk> Read();

  // What is kept of an unfinished line. Call it once, at the end.
  std::string Flush() { return joiner_.Flush(); }

 private:
  LogReader(std::string path, LogOptions options, int descriptor, ino_t inode);

  // Follow only, at the end of the file: true when there is something to read after all.
  Result<bool> LookForSuccessor(bool& settled);
  Status MoveTo(const std::string& path);
  // The rotated file that came right after the one being read, or the live one.
  std::string Successor() const;

  std::string path_;
  LogOptions options_;
  LogJoiner joiner_;
  int descriptor_ = -1;
  ino_t inode_ = 0;
  off_t offset_ = 0;
  bool rotation_seen_ = false;
};

// Where the last `lines` lines of the file begin. A line of several records counts once.
off_t TailOffset(int descriptor, off_t size, std::int64_t lines);

}  // namespace daemonsetd::local
