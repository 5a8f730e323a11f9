// Small files that may be replaced at any time, and how we notice. All of it blocks.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/result.h"

namespace daemonsetd::kube {

// Changes whenever the file behind a path is written, replaced, removed or made readable.
struct FileState {
  int error = 0;  // errno of stat, 0 when the file is there
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified = 0;  // nanoseconds
  std::int64_t changed = 0;   // of mode or owner, too

  bool operator==(const FileState&) const = default;
};

FileState StateOf(const std::string& path);

// The whole file. kDenied, with the reason, when it can't be read or is not a regular file of at most `limit` bytes.
Result<std::string> ReadSmallFile(const std::string& path, std::size_t limit);

}  // namespace daemonsetd::kube
