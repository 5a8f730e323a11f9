// What tells a changed file from an unchanged one without reading it.
#pragma once

#include <sys/stat.h>

#include <cstdint>

namespace daemonsetd::async {

// Another one whenever the file behind a path was written, replaced, or made readable. Two writes within one tick of
// the file system's clock differ in inode or size.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified = 0;  // nanoseconds
  std::int64_t changed = 0;   // of mode or owner, too

  bool operator==(const FileStamp&) const = default;
};

FileStamp FileStampOf(const struct stat& status);

}  // namespace daemonsetd::async
