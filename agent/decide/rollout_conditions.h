// DaemonSet.status.conditions, which upstream declares and never writes: whether a rollout gets on, and why pods are
// unavailable, dead nodes apart from broken pods (RO-19, ST-09). Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/base/time_point.h"
#include "agent/decide/rollout.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

inline constexpr char kProgressingCondition[] = "Progressing";
inline constexpr char kAvailableCondition[] = "Available";

// What the coordinator remembers of one DaemonSet's rollout, on its own monotonic clock. A new coordinator begins with
// an empty one.
struct ProgressMemory {
  std::int64_t generation = 0;
  std::int32_t best_updated = -1;  // the most nodes that were updated since it began; -1: nothing was waited for
  MonoTime advanced_at{};          // when that number last rose, or the DaemonSet changed
};

// Notes what `progress` tells. Answers when the deadline passes, or passed, so that somebody looks again then; nothing
// while there is nothing to wait for. Dead nodes that are set aside are not waited for.
std::optional<MonoTime> NoteProgress(ProgressMemory& memory, std::int64_t generation, const RolloutProgress& progress,
                                     Nanoseconds deadline, MonoTime now);

// The conditions to write. Reasons of Progressing: RolloutComplete (True), RolloutInProgress (True), OnDelete (True),
// ProgressDeadlineExceeded (False), SurgeHostPortConflict (False). A rollout that has been complete stays so until the
// DaemonSet changes, or a node with an old pod turns up: what breaks later is told by Available alone. That is read
// from the status of `daemon_set`, so that a new coordinator says the same. Of Available: AllAvailable (True),
// WithinBudget (True: no more unavailable, dead nodes included, than the strategy allows), NodesNotReady,
// PodsNotAvailable, NodesAndPodsNotReady (False). Messages name at most a few nodes and say how many more.
// lastTransitionTime changes with the status only; a condition whose text alone differs keeps it. Conditions of other
// types stay. No message holds what changes by itself (times).
google::protobuf::RepeatedPtrField<appsv1::DaemonSetCondition> RolloutConditions(const appsv1::DaemonSet& daemon_set,
                                                                                 const RolloutProgress& progress,
                                                                                 bool deadline_passed, WallTime now);

}  // namespace daemonsetd::decide
