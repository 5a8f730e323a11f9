#include "agent/decide/image_garbage.h"

#include <algorithm>
#include <string_view>

namespace daemonsetd::decide {
namespace {

// A runtime that names no pause image and pins none must not lose it: without it no pod starts (GC-01).
constexpr std::string_view kPauseRepository = "/pause";

bool IsPauseImage(const std::string& name) {
  const std::size_t at = name.rfind(kPauseRepository);
  if (at == std::string::npos) return false;
  const std::string_view rest = std::string_view(name).substr(at + kPauseRepository.size());
  return rest.empty() || rest.front() == ':' || rest.front() == '@';
}

bool MustStay(const ImageOnNode& image, const ImagesToKeep& keep) {
  if (image.pinned || keep.images.contains(image.id)) return true;
  return std::any_of(image.names.begin(), image.names.end(), [&keep](const std::string& name) {
    return IsPauseImage(name) || keep.images.contains(name) ||
           std::any_of(keep.patterns.begin(), keep.patterns.end(),
                       [&name](const std::string& pattern) { return MatchesImagePattern(name, pattern); });
  });
}

std::uint64_t Used(const ImageSpace& space) { return space.capacity - std::min(space.available, space.capacity); }

// Of a capacity that may be large, without overflow and without rounding down to nothing.
std::uint64_t Percent(std::uint64_t capacity, int percent) {
  const auto share = static_cast<std::uint64_t>(percent);
  return capacity / 100 * share + capacity % 100 * share / 100;
}

}  // namespace

bool MatchesImagePattern(const std::string& name, const std::string& pattern) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

std::uint64_t BytesToFree(const ImageSpace& space, const ImageThresholds& thresholds) {
  if (space.capacity == 0 || thresholds.high_percent >= 100) return 0;
  const std::uint64_t used = Used(space);
  if (used < Percent(space.capacity, thresholds.high_percent)) return 0;
  const std::uint64_t low = Percent(space.capacity, thresholds.low_percent);
  return used > low ? used - low : 0;
}

bool IsBelowLowThreshold(const ImageSpace& space, const ImageThresholds& thresholds) {
  return Used(space) <= Percent(space.capacity, thresholds.low_percent);
}

std::vector<const ImageOnNode*> UnusedImages(const std::vector<ImageOnNode>& images, const ImagesToKeep& keep,
                                             Nanoseconds minimum_age, WallTime now) {
  std::vector<const ImageOnNode*> unused;
  for (const ImageOnNode& image : images) {
    // Also where the clock went back: then it is not known how old an image is.
    const bool young = now - image.first_seen < minimum_age;
    if (!young && !MustStay(image, keep)) unused.push_back(&image);
  }
  // One that no container was ever seen with goes by when it came.
  const auto last_wanted = [](const ImageOnNode* image) { return image->last_used.value_or(WallTime::min()); };
  std::sort(unused.begin(), unused.end(), [&](const ImageOnNode* a, const ImageOnNode* b) {
    if (last_wanted(a) != last_wanted(b)) return last_wanted(a) < last_wanted(b);
    return a->first_seen != b->first_seen ? a->first_seen < b->first_seen : a->id < b->id;
  });
  return unused;
}

ImagesToRemove PlanImageRemoval(const std::vector<ImageOnNode>& images, const ImagesToKeep& keep,
                                const ImageSpace& space, const ImageThresholds& thresholds, WallTime now) {
  ImagesToRemove plan{.bytes_wanted = BytesToFree(space, thresholds), .candidates = {}};
  if (plan.bytes_wanted != 0) plan.candidates = UnusedImages(images, keep, thresholds.minimum_age, now);
  return plan;
}

}  // namespace daemonsetd::decide
