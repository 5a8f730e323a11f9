#include "agent/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace daemonsetd {

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

Status FileLock::Take(const std::string& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) return Error(ErrorKind::kDenied, "cannot make stateDirectory " + directory + ": " + failure.message());
  // Repaired at every start: the directory will hold pods' secrets.
  if (chmod(directory.c_str(), 0700) != 0) {
    return Error(ErrorKind::kDenied, "cannot protect stateDirectory " + directory + ": " + std::strerror(errno));
  }
  const std::string path = directory + "/lock";
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor_ < 0) return Error(ErrorKind::kDenied, "cannot open " + path + ": " + std::strerror(errno));
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error(ErrorKind::kDenied, "cannot lock " + path + ": " + std::strerror(errno));
    return Error(ErrorKind::kExists, "another daemonsetd runs with stateDirectory " + directory +
                                         "; stop it, or give this one a stateDirectory of its own");
  }
  return Ok();
}

}  // namespace daemonsetd
