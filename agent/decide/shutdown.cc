#include "agent/decide/shutdown.h"

#include <algorithm>
#include <tuple>

#include "agent/decide/critical_pod.h"

namespace daemonsetd::decide {
namespace {

auto Rank(const ShutdownPod& pod) { return std::tuple(pod.critical, pod.daemon, pod.priority); }

}  // namespace

ShutdownPeriods WithinDelay(const ShutdownPeriods& wanted, Nanoseconds allowed) {
  if (wanted.total <= allowed) return wanted;
  const double share = static_cast<double>(allowed.count()) / static_cast<double>(wanted.total.count());
  const double critical = static_cast<double>(wanted.critical.count()) * share;
  return {.total = allowed, .critical = Nanoseconds(static_cast<std::int64_t>(critical))};
}

ShutdownPod ShutdownPodOf(const corev1::Pod& pod, bool of_manifest, bool of_daemon_set) {
  ShutdownPod answer{.uid = pod.metadata().uid(), .priority = pod.spec().priority(), .daemon = of_daemon_set};
  if (of_manifest && !pod.spec().has_priority()) answer.priority = kNodeCriticalPriority;
  answer.critical = answer.priority >= kSystemCriticalPriority;
  return answer;
}

std::vector<ShutdownGroup> ShutdownOrder(std::vector<ShutdownPod> pods) {
  std::sort(pods.begin(), pods.end(), [](const ShutdownPod& a, const ShutdownPod& b) {
    return Rank(a) != Rank(b) ? Rank(a) < Rank(b) : a.uid < b.uid;
  });
  std::vector<ShutdownGroup> groups;
  const ShutdownPod* last = nullptr;
  for (const ShutdownPod& pod : pods) {
    if (last == nullptr || Rank(*last) != Rank(pod)) groups.push_back({.critical = pod.critical});
    groups.back().uids.push_back(pod.uid);
    last = &pod;
  }
  return groups;
}

MonoTime GroupDeadline(const std::vector<ShutdownGroup>& groups, std::size_t index, const ShutdownPeriods& periods,
                       MonoTime began, MonoTime now) {
  const bool critical = groups[index].critical;
  const MonoTime end = began + (critical ? periods.total : periods.total - periods.critical);
  const auto sharing = std::count_if(groups.begin() + static_cast<std::ptrdiff_t>(index), groups.end(),
                                     [critical](const ShutdownGroup& group) { return group.critical == critical; });
  return now + std::max(Nanoseconds::zero(), end - now) / sharing;
}

}  // namespace daemonsetd::decide
