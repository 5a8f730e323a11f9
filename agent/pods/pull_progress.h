// Whether image pulls get on, as far as that can be seen from outside of the runtime: what lies in containerd's content
// store half fetched, and how much the unpacked images take (CRI ImageFsInfo). CRI itself tells no progress. Everything
// on the loop thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/async/blocking_pool.h"
#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

class PullProgress {
 public:
  PullProgress(cri::Runtime& image_service, async::BlockingPool& blocking);

  // Another number than last time when anything of any image came in between. Of all pulls together: which file is
  // whose cannot be told, so that one that gets on makes the others count as getting on. Unset: it cannot be seen.
  Task<std::optional<std::uint64_t>> Look(Nanoseconds timeout);

 private:
  cri::Runtime& image_service_;
  async::BlockingPool& blocking_;
};

// Where containerd keeps what it is fetching, by the place of its snapshotter: <root>/io.containerd.snapshotter.v1.NAME
// lies beside <root>/io.containerd.content.v1.content. Empty for other runtimes.
std::string IngestDirectory(const std::string& image_file_system);

// Of the files in there: their names and sizes. kAbsent when there is no such directory. Blocks.
Result<std::uint64_t> DigestOfIngests(const std::string& directory);

}  // namespace daemonsetd::pods
