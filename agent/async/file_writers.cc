#include "agent/async/file_writers.h"

#include <fcntl.h>

#include <cerrno>

namespace daemonsetd::async {

// The kernel gives a read lease only where nobody has the file open for writing.
std::optional<bool> IsOpenForWriting(int descriptor) {
  if (::fcntl(descriptor, F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(descriptor, F_SETLEASE, F_UNLCK);
    return false;
  }
  if (errno == EAGAIN) return true;
  return std::nullopt;
}

}  // namespace daemonsetd::async
