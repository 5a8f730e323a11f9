#include "agent/decide/ready_since.h"

#include <algorithm>

#include "agent/decide/api_time.h"
#include "agent/decide/conditions.h"

namespace daemonsetd::decide {
namespace {

// Longer than any minReadySeconds that somebody waits for; keeps hostile times from overflowing.
constexpr Nanoseconds kLongAgo = std::chrono::hours(24 * 365);

}  // namespace

void NoteReady(const corev1::PodStatus& status, Now now, std::optional<Nanoseconds> unseen_for,
               std::optional<ReadySight>& sight) {
  const corev1::PodCondition* condition = FindCondition(status, "Ready");
  const bool ready = condition != nullptr && condition->status() == "True";
  const std::int64_t transition = condition != nullptr ? condition->lasttransitiontime().seconds() : 0;
  if (!ready) {
    sight = ReadySight{.ready = false, .transition = transition, .since = now.mono};
    return;
  }
  if (sight && sight->ready && sight->transition == transition) return;
  const WallTime became = std::clamp(FromApiTime(condition->lasttransitiontime()), now.wall - kLongAgo, now.wall);
  Nanoseconds ago = now.wall - became;
  // Seen all the time: it became ready just now, whatever its node's clock says.
  if (sight) unseen_for = std::min(unseen_for.value_or(Nanoseconds::zero()), now.mono - sight->since);
  if (unseen_for) ago = std::min(ago, *unseen_for);
  sight = ReadySight{.ready = true, .transition = transition, .since = now.mono - ago};
}

std::optional<MonoTime> AvailableAt(const std::optional<ReadySight>& sight, std::int32_t min_ready_seconds) {
  if (!sight || !sight->ready) return std::nullopt;
  return sight->since + Seconds(std::max(min_ready_seconds, 0));
}

}  // namespace daemonsetd::decide
