#include "agent/async/file_stamp.h"

namespace daemonsetd::async {
namespace {

std::int64_t Nanos(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

FileStamp FileStampOf(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified = Nanos(status.st_mtim),
          .changed = Nanos(status.st_ctim)};
}

}  // namespace daemonsetd::async
