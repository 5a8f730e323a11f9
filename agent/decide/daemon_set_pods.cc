#include "agent/decide/daemon_set_pods.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_status.h"

namespace daemonsetd::decide {
namespace {

constexpr char kTemplateGenerationLabel[] = "pod-template-generation";
constexpr char kNodeNameField[] = "metadata.name";
constexpr std::int64_t kStringType = 1;  // IntOrString.type: 0 is the number, 1 the text

bool IsAvailable(const corev1::Pod& pod, std::int32_t min_ready_seconds, WallTime now) {
  for (const corev1::PodCondition& condition : pod.status().conditions()) {
    if (condition.type() != "Ready") continue;
    if (condition.status() != "True") return false;
    if (min_ready_seconds == 0) return true;
    if (!condition.has_lasttransitiontime()) return false;
    return FromApiTime(condition.lasttransitiontime()) + Seconds(min_ready_seconds) <= now;
  }
  return false;
}

}  // namespace

DaemonPod DaemonPodOf(const corev1::Pod& pod, const CurrentTemplate& current, std::int32_t min_ready_seconds,
                      WallTime now) {
  const metav1::ObjectMeta& metadata = pod.metadata();
  const std::string hash = ValueOf(metadata.labels(), kRevisionHashLabel);
  const bool same_hash = !current.revision_hash.empty() && hash == current.revision_hash;
  const bool same_generation =
      current.generation && ValueOf(metadata.labels(), kTemplateGenerationLabel) == fmt::to_string(*current.generation);
  return {.id = metadata.uid(),
          .name = metadata.name(),
          .bound = !pod.spec().nodename().empty(),
          .created_at = FromApiTime(metadata.creationtimestamp()),
          .terminating = metadata.has_deletiontimestamp(),
          .failed = pod.status().phase() == "Failed",
          .succeeded = pod.status().phase() == "Succeeded",
          .updated = same_hash || same_generation,
          .ready = IsReady(pod.status()),
          .available = IsAvailable(pod, min_ready_seconds, now)};
}

bool IsOlder(const DaemonPod& a, const DaemonPod& b) {
  if (a.bound != b.bound) return a.bound;
  if (a.created_at != b.created_at) return a.created_at < b.created_at;
  return a.ready != b.ready ? a.ready : a.name < b.name;  // of two made in one second the one that serves stays
}

bool TakesPlace(const DaemonPod& pod) { return !(pod.terminating && (pod.failed || pod.succeeded)); }

std::string TargetNode(const corev1::Pod& pod) {
  if (!pod.spec().nodename().empty()) return pod.spec().nodename();
  const corev1::NodeAffinity& affinity = pod.spec().affinity().nodeaffinity();
  for (const auto& term : affinity.requiredduringschedulingignoredduringexecution().nodeselectorterms()) {
    for (const corev1::NodeSelectorRequirement& field : term.matchfields()) {
      if (field.key() == kNodeNameField && field.operator_() == "In" && field.values_size() == 1) {
        return field.values(0);
      }
    }
  }
  return {};
}

bool AllowsSurge(const appsv1::DaemonSet& daemon_set) {
  const appsv1::DaemonSetUpdateStrategy& strategy = daemon_set.spec().updatestrategy();
  if (strategy.type() != "RollingUpdate" || !strategy.rollingupdate().has_maxsurge()) return false;
  const intstrv1::IntOrString& surge = strategy.rollingupdate().maxsurge();
  if (surge.type() != kStringType) return surge.intval() > 0;
  return !surge.strval().empty() && surge.strval() != "0%" && surge.strval() != "0";
}

DaemonSetVerdict ManageDaemonPods(const Placement& placement, std::vector<DaemonPod> pods, bool allows_surge,
                                  bool replace_failed) {
  DaemonSetVerdict verdict;
  std::erase_if(pods, [](const DaemonPod& pod) { return !TakesPlace(pod); });
  std::sort(pods.begin(), pods.end(), IsOlder);
  const auto remove = [&](const DaemonPod& pod, std::string reason) {
    verdict.deletions.push_back({pod.id, std::move(reason)});
  };

  if (!placement.should_keep_running) {
    for (const DaemonPod& pod : pods) {
      if (!pod.terminating) remove(pod, placement.reason);
    }
    return verdict;
  }
  if (pods.empty()) {
    verdict.create = placement.should_run;
    return verdict;
  }

  std::vector<const DaemonPod*> running;
  for (const DaemonPod& pod : pods) {
    if (pod.terminating) continue;
    if (pod.failed) {
      if (replace_failed) remove(pod, "it failed, and its replacement is due");
    } else if (pod.succeeded) {
      remove(pod, "it ended, and a daemon pod has to run");
    } else {
      running.push_back(&pod);
    }
  }
  if (!allows_surge) {
    for (std::size_t i = 1; i < running.size(); ++i) remove(*running[i], "another pod of the same DaemonSet is older");
    return verdict;
  }

  if (running.empty()) {
    verdict.create = placement.should_run;
    return verdict;
  }
  const DaemonPod* oldest_new = nullptr;
  const DaemonPod* oldest_old = nullptr;
  for (const DaemonPod* pod : running) {
    const DaemonPod*& oldest = pod->updated ? oldest_new : oldest_old;
    if (oldest == nullptr) {
      oldest = pod;
    } else {
      remove(*pod, "another pod of the same DaemonSet is ready or older");
    }
  }
  if (oldest_new == nullptr || oldest_old == nullptr) return verdict;
  if (!oldest_old->ready) {
    remove(*oldest_old, "its template changed and it is not ready");
    verdict.deletions.back().ends_surge = true;
  } else if (oldest_new->available) {
    remove(*oldest_old, "the pod of the new template is available");
    verdict.deletions.back().ends_surge = true;
  }
  return verdict;
}

std::string OutdatedPod(const std::vector<DaemonPod>& pods) {
  const DaemonPod* oldest = nullptr;
  for (const DaemonPod& pod : pods) {
    if (pod.updated) return {};
    if (pod.failed || pod.succeeded) continue;
    if (oldest == nullptr || IsOlder(pod, *oldest)) oldest = &pod;
  }
  return oldest == nullptr ? std::string() : oldest->id;
}

}  // namespace daemonsetd::decide
