// Which images a full disk takes from the node, and in which order. The thresholds are the kubelet's
// (pkg/kubelet/images/image_gc_manager.go); what is never removed is more: a node that is offline cannot fetch it back.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/time_point.h"

namespace daemonsetd::decide {

struct ImageOnNode {
  std::string id;                  // the runtime's
  std::vector<std::string> names;  // tags and digests
  std::uint64_t bytes = 0;
  bool pinned = false;  // by the runtime
  WallTime first_seen{};
  std::optional<WallTime> last_used;  // by a container
};

struct ImageSpace {
  std::uint64_t capacity = 0;   // of the images' file system, bytes
  std::uint64_t available = 0;  // of it
};

struct ImageThresholds {
  int high_percent = 85;  // from here on images go; 100: they never do
  int low_percent = 80;   // down to here
  Nanoseconds minimum_age = std::chrono::minutes(2);
};

// What must stay besides pinned images, by ID or by any name.
struct ImagesToKeep {
  std::set<std::string> images;
  std::vector<std::string> patterns;  // names; "*" at the end stands for any rest
};

struct ImagesToRemove {
  // 0: nothing has to go. An estimate beyond that: layers are shared, so what a removal gives is only known afterwards.
  std::uint64_t bytes_wanted = 0;
  std::vector<const ImageOnNode*> candidates;  // in this order, until enough is free
};

bool MatchesImagePattern(const std::string& name, const std::string& pattern);

// The bytes by which the file system is too full.
std::uint64_t BytesToFree(const ImageSpace& space, const ImageThresholds& thresholds);
// Whether less than the low threshold is in use.
bool IsBelowLowThreshold(const ImageSpace& space, const ImageThresholds& thresholds);

// Those not used for longest first; of equals those that came first. `images` must outlive the answer.
std::vector<const ImageOnNode*> UnusedImages(const std::vector<ImageOnNode>& images, const ImagesToKeep& keep,
                                             Nanoseconds minimum_age, WallTime now);

ImagesToRemove PlanImageRemoval(const std::vector<ImageOnNode>& images, const ImagesToKeep& keep,
                                const ImageSpace& space, const ImageThresholds& thresholds, WallTime now);

}  // namespace daemonsetd::decide
