#include "agent/decide/damaged_image.h"

#include <algorithm>
#include <array>

namespace daemonsetd::decide {
namespace {

constexpr std::array<std::string_view, 5> kSigns = {
    "exec format error",  // what an empty program gives
    "failed to create snapshot", "snapshot does not exist", "unable to prepare extraction snapshot", "blob not found",
};
// Of the program alone: a host path that is not there has the same words.
constexpr std::string_view kProgram = "exec: \"";
constexpr std::array<std::string_view, 2> kSignsOfAProgram = {"no such file or directory", "executable file not found"};
// "content digest sha256:...: not found"
constexpr std::string_view kContent = "content digest";

template <class Signs>
bool HasOneOf(std::string_view text, const Signs& signs) {
  return std::any_of(signs.begin(), signs.end(),
                     [text](std::string_view sign) { return text.find(sign) != std::string_view::npos; });
}

}  // namespace

bool TellsOfDamagedLayers(std::string_view error) {
  if (HasOneOf(error, kSigns)) return true;
  if (error.find(kProgram) != std::string_view::npos && HasOneOf(error, kSignsOfAProgram)) return true;
  return error.find(kContent) != std::string_view::npos && error.find("not found") != std::string_view::npos;
}

bool MayBeDamagedByPowerLoss(const ImageSightings& image, Nanoseconds uptime, WallTime now) {
  if (uptime > kSoonAfterBoot) return false;
  const WallTime boot = now - uptime;
  const bool came_since = image.first_seen && *image.first_seen >= boot;
  const bool repaired_since = image.repaired_at && *image.repaired_at >= boot;
  return !came_since && !repaired_since;
}

}  // namespace daemonsetd::decide
