// Whether anybody may still write to a file.
#pragma once

#include <optional>

namespace daemonsetd::async {

// `descriptor` is open for reading only. Unset where it cannot be known: not every file system can tell, and it takes
// the file's owner or CAP_LEASE. A process that only reads, this one too, does not count.
std::optional<bool> IsOpenForWriting(int descriptor);

}  // namespace daemonsetd::async
