// Small files that may be replaced at any time, and how we notice. All of it blocks.
#pragma once

#include <string>

#include "agent/async/file_stamp.h"
#include "agent/base/result.h"

namespace daemonsetd::kube {

// Changes also when the file behind a path is removed or comes.
struct FileState {
  int error = 0;  // errno of stat, 0 when the file is there
  async::FileStamp stamp;

  bool operator==(const FileState&) const = default;
};

FileState StateOf(const std::string& path);

// The whole file. kDenied, with the reason, when it can't be read or is not a regular file of at most `limit` bytes.
Result<std::string> ReadSmallFile(const std::string& path, std::size_t limit);

}  // namespace daemonsetd::kube
