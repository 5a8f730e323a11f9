// How long a failed pod of a DaemonSet waits for its replacement: 1 s, doubling to 15 min, one record for each set on
// this node (semantics.md section 5, rule 2a). Meanwhile the newest failed pod stays as evidence (LC-03). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/backoff.h"
#include "agent/base/time_point.h"

namespace daemonsetd::decide {

inline constexpr BackoffLimits kFailedPodBackoff{.initial = std::chrono::seconds(1),
                                                 .maximum = std::chrono::minutes(15)};
// A set whose pod was healthy for this long without a break starts again at the first wait.
inline constexpr Nanoseconds kFailedPodsForgottenAfter = std::chrono::minutes(15);

struct FailedPod {
  std::string uid;
  WallTime created_at{};
  std::string message;  // why it failed: reason and message of its status
};

// Kept by the caller, one for each DaemonSet that is placed here. Losing it (agent restart) costs one early retry.
struct FailedPodMemory {
  std::string template_hash;
  Backoff backoff{kFailedPodBackoff};
  std::string counted_uid;  // the newest failed pod that the back-off has counted
  std::string last_failure;
  std::optional<MonoTime> healthy_since;
};

struct FailedPodVerdict {
  bool replace = false;                // the newest failed pod may go, and another be made
  std::vector<std::string> remove;     // older failed pods: one is evidence enough
  std::optional<MonoTime> look_again;  // when the answer changes by itself
  std::string waiting_for;             // one sentence; empty while nothing waits
};

// `failed`: the failed pods of this set on this node, in any order. `healthy`: a pod of the set is ready. A template
// with another hash clears the back-off (RO-14).
FailedPodVerdict JudgeFailedPods(const std::string& template_hash, const std::vector<FailedPod>& failed, bool healthy,
                                 MonoTime now, FailedPodMemory& memory);

}  // namespace daemonsetd::decide
