// A lock that ends with the process, however it ends.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace daemonsetd {

class FileLock {
 public:
  FileLock() = default;
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Makes the directory (0700) and the lock file in it. kExists: another process holds the lock.
  Status Take(const std::string& directory);

 private:
  int descriptor_ = -1;
};

}  // namespace daemonsetd
