#include "agent/pods/garbage/orphaned_pods.h"

#include <functional>
#include <utility>
#include <vector>

#include "agent/base/log.h"
#include "agent/decide/garbage.h"
#include "agent/pods/cgroups/pod_cgroups.h"
#include "agent/pods/sandbox_dirs.h"

namespace daemonsetd::pods {
namespace {

constexpr Nanoseconds kUntilComplete = std::chrono::seconds(1);
constexpr Nanoseconds kPeriod = std::chrono::minutes(1);
constexpr char kReason[] = "it is gone, and an earlier agent had not taken it down to the end";

corev1::Pod PodOf(const FoundPodDirectory& directory) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_uid(directory.uid);
  pod.mutable_metadata()->set_namespace_(directory.name_space);
  pod.mutable_metadata()->set_name(directory.name);
  return pod;
}

}  // namespace

OrphanedPods::OrphanedPods(PodServices& services, PodWorkers& workers, std::function<bool()> complete)
    : services_(services),
      workers_(workers),
      complete_(std::move(complete)),
      trouble_("cannot look for what pods left behind", "looking for what pods left behind works again") {}

Task<void> OrphanedPods::Run() {
  for (;;) {
    while (!complete_() || !services_.view.synced()) co_await services_.timeline.SleepFor(kUntilComplete);
    if (const Status looked = co_await Look(); !looked) {
      trouble_.Tell(looked.error());
    } else {
      trouble_.End();
    }
    co_await services_.timeline.SleepFor(kPeriod);
  }
}

Task<Status> OrphanedPods::Look() {
  std::function<Result<std::vector<FoundPodDirectory>>()> list = std::bind(FindPodDirectories, services_.directories);
  const auto found = co_await services_.blocking.Compute(std::move(list));
  if (!found) co_return found.error();
  std::vector<decide::PodDirectory> directories;
  directories.reserve(found->size());
  for (const FoundPodDirectory& one : *found) {
    directories.push_back({.uid = one.uid, .ours = one.ours, .empty = one.empty});
  }
  const auto known = [this](const std::string& uid) {
    return workers_.Find(uid) != nullptr || services_.view.Find(uid) != nullptr ||
           services_.records.FindPod(uid) != nullptr;
  };
  const auto orphans = decide::OrphanedPods(directories, known);
  const std::set<std::string> gone(orphans.begin(), orphans.end());
  for (const FoundPodDirectory& directory : *found) {
    if (!gone.contains(directory.uid)) continue;
    log::Info("taking down what a pod left behind",
              {{"pod", directory.name_space + "/" + directory.name}, {"uid", directory.uid}});
    ++taken_down_;
    // Nothing of it runs, so there is nothing to wait for.
    workers_.Start(PodIdentity{}, PodOf(directory)).Terminate(Seconds(0), kReason);
  }
  if (services_.cgroups) co_return co_await services_.cgroups->Tidy(known);
  co_return Ok();
}

}  // namespace daemonsetd::pods
