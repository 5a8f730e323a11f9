#include "agent/pods/cgroups/pod_cgroups.h"

#include "agent/base/log.h"
#include "agent/pods/paths.h"

namespace daemonsetd::pods {
namespace {

// Who shares the root with us may be about to start something in a younger one.
constexpr Nanoseconds kOrphanAge = std::chrono::minutes(2);

}  // namespace

PodCgroups::PodCgroups(Ports ports, PodCgroupSettings settings, std::shared_ptr<GroupManager> cgroupfs,
                       std::shared_ptr<GroupManager> systemd)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      cgroupfs_(std::move(cgroupfs)),
      systemd_(std::move(systemd)),
      making_(ports_.executor, 1) {}

std::shared_ptr<GroupManager> PodCgroups::Manager() const {
  return systemd_ && ports_.by_systemd() ? systemd_ : cgroupfs_;
}

std::vector<std::shared_ptr<GroupManager>> PodCgroups::Managers() const {
  std::vector<std::shared_ptr<GroupManager>> managers{cgroupfs_};
  if (systemd_) managers.push_back(systemd_);
  return managers;
}

std::string PodCgroups::ParentOf(const corev1::Pod& pod) const {
  return Manager()->PathOf(decide::PodCgroup(settings_.root, decide::ComputeQos(pod.spec()), pod.metadata().uid()));
}

std::vector<PodCgroups::Level> PodCgroups::LevelsOf(decide::QosClass qos) const {
  std::vector<Level> levels;
  // Where nobody knows yet how much this node has, what was set before stays.
  const std::int64_t milli_cpu = ports_.node_milli_cpu();
  const decide::CgroupLimits limits = milli_cpu > 0 ? decide::LevelLimits(milli_cpu) : decide::CgroupLimits();
  levels.push_back({decide::KubepodsCgroup(settings_.root), limits});
  if (qos == decide::QosClass::kGuaranteed) return levels;
  levels.push_back({decide::QosCgroup(settings_.root, qos), qos == decide::QosClass::kBestEffort
                                                                ? decide::BestEffortLevelLimits()
                                                                : decide::LevelLimits(ports_.burstable_milli_cpu())});
  return levels;
}

decide::CgroupLimits PodCgroups::LimitsOf(const corev1::Pod& pod) const {
  return decide::PodCgroupLimits(pod.spec(), settings_.pids_limit);
}

Status PodCgroups::Apply(GroupManager& manager, const std::vector<Level>& levels) {
  for (const Level& level : levels) DAEMONSETD_RETURN_IF_ERROR(manager.Ensure(level.name, level.limits));
  return Ok();
}

Task<Status> PodCgroups::Measured(std::string_view operation, std::function<Status()> work) {
  const MonoTime since = ports_.timeline.mono();
  Status done = co_await ports_.blocking.Run(std::move(work));
  ports_.observe(operation, ports_.timeline.mono() - since);
  co_return done;
}

// From the top to the pod.
std::vector<PodCgroups::Level> PodCgroups::LevelsOf(const corev1::Pod& pod) const {
  const decide::QosClass qos = decide::ComputeQos(pod.spec());
  std::vector<Level> levels = LevelsOf(qos);
  levels.push_back({decide::PodCgroup(settings_.root, qos, pod.metadata().uid()), LimitsOf(pod)});
  return levels;
}

Task<Status> PodCgroups::Ensure(corev1::Pod pod) {
  if (Status valid = CheckPathComponent(pod.metadata().uid(), "pod UID"); !valid) co_return valid;
  const async::Semaphore::Permit turn = co_await making_.Acquire();
  std::function<Status()> make = [manager = Manager(), levels = LevelsOf(pod)] { return Apply(*manager, levels); };
  const Status made = co_await Measured("create", std::move(make));
  if (!made) co_return made.error().WithContext("cannot make the pod's control group");
  co_return Ok();
}

Task<Status> PodCgroups::MakeRoom(corev1::Pod pod) {
  const decide::CgroupName name =
      decide::PodCgroup(settings_.root, decide::ComputeQos(pod.spec()), pod.metadata().uid());
  std::function<Status()> raise = [manager = Manager(), name, limits = LimitsOf(pod)] {
    const decide::CgroupLimits present = manager->tree().Present(manager->PathOf(name));
    return manager->Ensure(name, decide::AtLeast(limits, present));
  };
  const Status raised = co_await Measured("update", std::move(raise));
  if (!raised) co_return raised.error().WithContext("cannot change the pod's control group");
  co_return Ok();
}

Task<Status> PodCgroups::Settle(corev1::Pod pod) {
  std::function<Status()> settle = [manager = Manager(), levels = LevelsOf(pod)] { return Apply(*manager, levels); };
  const Status settled = co_await Measured("update", std::move(settle));
  if (!settled) co_return settled.error().WithContext("cannot change the pod's control group");
  co_return Ok();
}

Task<Status> PodCgroups::Remove(std::string uid) {
  if (Status valid = CheckPathComponent(uid, "pod UID"); !valid) co_return valid;
  std::function<Status()> remove = [managers = Managers(),
                                    names = decide::PodCgroups(settings_.root, uid)]() -> Status {
    for (const auto& manager : managers) {
      for (const decide::CgroupName& name : names) DAEMONSETD_RETURN_IF_ERROR(manager->Remove(name));
    }
    return Ok();
  };
  const Status removed = co_await Measured("destroy", std::move(remove));
  if (!removed) co_return removed.error().WithContext("cannot remove the pod's control group");
  co_return Ok();
}

Result<std::vector<PodCgroups::Orphan>> PodCgroups::FindOrphans(
    const std::vector<std::shared_ptr<GroupManager>>& managers, const std::string& root, WallTime before) {
  std::vector<Orphan> found;
  for (const auto& manager : managers) {
    for (const decide::QosClass qos :
         {decide::QosClass::kGuaranteed, decide::QosClass::kBurstable, decide::QosClass::kBestEffort}) {
      const decide::CgroupName parent = decide::QosCgroup(root, qos);
      const std::string path = manager->PathOf(parent);
      for (const std::string& directory : manager->tree().GroupsIn(path)) {
        const auto uid = manager->UidOf(directory, parent);
        if (!uid) continue;
        const std::string group = path + "/" + directory;
        if (manager->tree().HasProcesses(group) || !manager->tree().IsOlderThan(group, before)) continue;
        found.push_back({manager, decide::PodCgroup(root, qos, *uid), *uid});
      }
    }
  }
  return found;
}

Task<Status> PodCgroups::Tidy(std::function<bool(const std::string& uid)> known) {
  if (!settings_.enabled) co_return Ok();
  const WallTime before = ports_.timeline.Read().wall - kOrphanAge;
  std::function<Result<std::vector<Orphan>>()> find = [managers = Managers(), root = settings_.root, before] {
    return FindOrphans(managers, root, before);
  };
  const auto found = co_await ports_.blocking.Compute<std::vector<Orphan>>(std::move(find));
  if (!found) co_return found.error();
  Status tidied = Ok();
  for (const Orphan& orphan : *found) {
    const async::Semaphore::Permit turn = co_await making_.Acquire();
    if (known(orphan.uid)) continue;
    log::Info("removing the control group of a pod that is gone", {{"uid", orphan.uid}});
    std::function<Status()> remove = [orphan] { return orphan.manager->RemoveEmpty(orphan.name); };
    Status removed = co_await Measured("destroy", std::move(remove));
    if (!removed) tidied = removed;
  }
  std::function<Status()> settle = [manager = Manager(), levels = LevelsOf(decide::QosClass::kBurstable)]() -> Status {
    const bool there = manager->tree().Exists(manager->PathOf(levels.back().name));
    return there ? Apply(*manager, levels) : Ok();
  };
  if (Status settled = co_await Measured("update", std::move(settle)); !settled) co_return settled;
  co_return tidied;
}

}  // namespace daemonsetd::pods
