// One file of a container's log, plain or compressed, read from front to back. Blocking file calls.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "agent/async/descriptor.h"
#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::local {

class LogFile {
 public:
  // kAbsent: no such file. Opens nothing but regular files.
  static Result<LogFile> Open(const std::string& path, bool compressed);

  LogFile(LogFile&&) noexcept;
  LogFile& operator=(LogFile&&) noexcept;
  ~LogFile();

  // Up to `block.size()` bytes of text; 0 at the end, as it is now.
  Result<std::size_t> Read(std::span<char> block);
  // From there on, counted in text. Compressed files are read up to there.
  Status Seek(off_t offset);
  off_t offset() const { return offset_; }

  // No more than what is there now is read.
  void StopAtPresentEnd();
  // Empty in place, and written anew since: goes on at its beginning.
  bool WasTruncated() const;

  // Where the last lines begin, of which there are to be `wanted` in this file and those after it, and `found` already
  // in those. A line of several records counts once, in the file where it ends. Sets `found` to what there is with this
  // file; unset when the file has not enough lines. `last`: no record comes after this file's; becomes false when it
  // has one.
  Result<std::optional<off_t>> FindTail(std::int64_t wanted, std::int64_t& found, bool& last);

  // The same file, under that name.
  bool IsAt(const std::string& path) const;
  // As it was when the last line was written: what a file and its compressed form have in common.
  Result<std::int64_t> ModifiedAt() const;
  WallTime modified() const { return modified_; }  // when it was opened
  // Unset: cannot be known.
  std::optional<bool> IsStillWritten() const;

 private:
  struct Inflater;

  LogFile(std::string path, async::Descriptor descriptor, bool compressed);

  Result<std::optional<off_t>> FindTailOfPlain(std::int64_t wanted, std::int64_t& found, bool& last) const;
  Result<std::optional<off_t>> FindTailOfCompressed(std::int64_t wanted, std::int64_t& found, bool& last);
  // From the beginning: calls `on_record` with where each record ends and whether it ends a line, until that answers
  // false. Read() goes on anywhere: Seek() next.
  Status ForEachRecord(const std::function<bool(off_t end, bool ends_line)>& on_record);
  Error Failed(const char* action, int code) const;

  std::string path_;
  async::Descriptor descriptor_;
  bool compressed_ = false;
  ino_t inode_ = 0;
  dev_t device_ = 0;
  WallTime modified_;
  off_t offset_ = 0;
  std::optional<off_t> end_;
  std::unique_ptr<Inflater> inflater_;  // made at the first read
};

}  // namespace daemonsetd::local
