#include "agent/decide/rollout_conditions.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/conditions.h"

namespace daemonsetd::decide {
namespace {

constexpr std::size_t kNamesShown = 3;
constexpr char kRolloutComplete[] = "RolloutComplete";

using Names = std::vector<std::string>;

Names Union(const Names& a, const Names& b) {
  Names all;
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

// "1 node (n1)", "5 nodes (n1, n2, n3 and 2 more)"
std::string Nodes(const Names& names) {
  const std::size_t shown = std::min(names.size(), kNamesShown);
  std::string text = fmt::format("{} {} ({}", names.size(), names.size() == 1 ? "node" : "nodes",
                                 fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text + ")";
}

// "8 of 10 nodes"
std::string Share(std::int32_t part, std::int32_t of) {
  return fmt::format("{} of {} {}", part, of, of == 1 ? "node" : "nodes");
}

appsv1::DaemonSetCondition Condition(const char* type, bool status, std::string_view reason, std::string message) {
  appsv1::DaemonSetCondition condition;
  condition.set_type(type);
  condition.set_status(status ? "True" : "False");
  condition.set_reason(std::string(reason));
  condition.set_message(std::move(message));
  return condition;
}

bool WasComplete(const appsv1::DaemonSet& daemon_set) {
  const appsv1::DaemonSetCondition* last = FindCondition(daemon_set.status(), kProgressingCondition);
  return last != nullptr && last->reason() == kRolloutComplete &&
         daemon_set.status().observedgeneration() == daemon_set.metadata().generation();
}

std::string UpdatedText(const RolloutProgress& progress) {
  return Share(progress.updated, progress.desired) + " run the present template and are available";
}

// What the rollout waits for, and what it does not wait for.
std::string WaitingText(const RolloutProgress& progress) {
  std::string text;
  if (!progress.dead_updated.empty()) {
    text += fmt::format("; {} went down during the rollout and may have been brought down by it",
                        Nodes(progress.dead_updated));
  }
  if (!progress.broken.empty()) text += fmt::format("; pods are not available on {}", Nodes(progress.broken));
  if (progress.images_awaited) text += "; the next nodes are fetching their images";
  return text;
}

std::string SetAsideText(const RolloutProgress& progress) {
  return progress.set_aside.empty() ? std::string()
                                    : fmt::format("; {} not waited for: not ready, and not because of this rollout",
                                                  Nodes(progress.set_aside));
}

appsv1::DaemonSetCondition Progressing(const appsv1::DaemonSet& daemon_set, const RolloutProgress& progress,
                                       bool deadline_passed) {
  if (!progress.refusal.empty()) {
    return Condition(kProgressingCondition, false, "SurgeHostPortConflict", progress.refusal);
  }
  if (progress.desired == 0) {
    return Condition(kProgressingCondition, true, kRolloutComplete, "No node should run a pod of it");
  }
  const bool stays_complete = progress.outdated == 0 && WasComplete(daemon_set);
  if (progress.complete || stays_complete) {
    return Condition(kProgressingCondition, true, kRolloutComplete,
                     "Every node has been updated" + SetAsideText(progress));
  }
  const std::string updated = UpdatedText(progress);
  if (!progress.rolling) {
    return Condition(kProgressingCondition, true, "OnDelete",
                     updated + "; a pod of an older template stays until somebody deletes it");
  }
  const std::string details = WaitingText(progress) + SetAsideText(progress);
  if (deadline_passed) {
    return Condition(kProgressingCondition, false, "ProgressDeadlineExceeded",
                     "No node was updated within the deadline: " + updated + details);
  }
  return Condition(kProgressingCondition, true, "RolloutInProgress", updated + details);
}

appsv1::DaemonSetCondition Available(const RolloutProgress& progress) {
  const Names dead = Union(progress.set_aside, progress.dead_updated);
  const auto unavailable = static_cast<std::int32_t>(dead.size() + progress.broken.size());
  std::string text = Share(progress.desired - unavailable, progress.desired) +
                     (progress.desired - unavailable == 1 ? " has an available pod" : " have an available pod");
  if (unavailable == 0) return Condition(kAvailableCondition, true, "AllAvailable", text);

  if (!dead.empty()) text += fmt::format("; not ready: {}", Nodes(dead));
  if (!progress.broken.empty()) text += fmt::format("; without an available pod: {}", Nodes(progress.broken));
  if (unavailable <= progress.max_unavailable) return Condition(kAvailableCondition, true, "WithinBudget", text);
  const char* reason = "NodesAndPodsNotReady";
  if (dead.empty()) reason = "PodsNotAvailable";
  if (progress.broken.empty()) reason = "NodesNotReady";
  return Condition(kAvailableCondition, false, reason, text);
}

}  // namespace

std::optional<MonoTime> NoteProgress(ProgressMemory& memory, std::int64_t generation, const RolloutProgress& progress,
                                     Nanoseconds deadline, MonoTime now) {
  if (progress.complete || !progress.rolling || !progress.refusal.empty()) {
    memory = {.generation = generation, .best_updated = -1, .advanced_at = now};
    return std::nullopt;
  }
  if (memory.generation != generation || progress.updated > memory.best_updated) {
    memory = {.generation = generation, .best_updated = progress.updated, .advanced_at = now};
  }
  return memory.advanced_at + deadline;
}

google::protobuf::RepeatedPtrField<appsv1::DaemonSetCondition> RolloutConditions(const appsv1::DaemonSet& daemon_set,
                                                                                 const RolloutProgress& progress,
                                                                                 bool deadline_passed, WallTime now) {
  appsv1::DaemonSetStatus ours;
  *ours.add_conditions() = Progressing(daemon_set, progress, deadline_passed);
  *ours.add_conditions() = Available(progress);
  for (appsv1::DaemonSetCondition& condition : *ours.mutable_conditions()) {
    const appsv1::DaemonSetCondition* last = FindCondition(daemon_set.status(), condition.type());
    const bool same = last != nullptr && last->status() == condition.status() && last->has_lasttransitiontime();
    *condition.mutable_lasttransitiontime() = same ? last->lasttransitiontime() : ToApiTime(now);
  }
  appsv1::DaemonSetStatus merged = daemon_set.status();
  MergeConditions(ours, merged);
  return std::move(*merged.mutable_conditions());
}

}  // namespace daemonsetd::decide
