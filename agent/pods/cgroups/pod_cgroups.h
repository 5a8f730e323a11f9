// The control groups of this node's pods, and of their QoS classes: made before a pod's sandbox, changed with its
// resources, removed after it, as a kubelet's qos and pod container managers do. The layout is decide/pod_cgroup.h.
// Everything on the loop thread; the work is done on the blocking pool.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/semaphore.h"
#include "agent/async/timeline.h"
#include "agent/decide/pod_cgroup.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/cgroups/group_manager.h"

namespace daemonsetd::pods {

struct PodCgroupSettings {
  bool enabled = true;           // false: none are made; those of before are still removed with their pods
  std::string root;              // cgroupRoot
  std::int64_t pids_limit = -1;  // of a pod; not positive: none
};

class PodCgroups {
 public:
  struct Ports {
    async::Executor executor;
    async::Timeline& timeline;
    async::BlockingPool& blocking;
    // By the runtime's driver, which may change when it starts anew: groups of the other one are still removed.
    std::function<bool()> by_systemd;
    // Of all burstable pods of this node.
    std::function<std::int64_t()> burstable_milli_cpu;
    std::function<std::int64_t()> node_milli_cpu;
    // "create", "update" or "destroy", as the kubelet's metric has it.
    std::function<void(std::string_view operation, Nanoseconds took)> observe = [](std::string_view, Nanoseconds) {};
  };

  // `systemd` may be null where there is no such driver.
  PodCgroups(Ports ports, PodCgroupSettings settings, std::shared_ptr<GroupManager> cgroupfs,
             std::shared_ptr<GroupManager> systemd);

  bool enabled() const { return settings_.enabled; }
  // What the runtime is to be told as parent of the pod's containers.
  std::string ParentOf(const corev1::Pod& pod) const;
  // The group and what it lies in, with the limits of the pod as it is.
  Task<Status> Ensure(corev1::Pod pod);
  // Before a container gets more (what the group has is not lowered), and after it: exactly what the pod has.
  Task<Status> MakeRoom(corev1::Pod pod);
  Task<Status> Settle(corev1::Pod pod);
  // Of a pod whose sandboxes are gone; what still runs in its group is killed.
  Task<Status> Remove(std::string uid);

  // Groups of pods that nobody knows go, if nothing runs in them and they are two minutes old. The shares of the
  // burstable pods are set anew.
  Task<Status> Tidy(std::function<bool(const std::string& uid)> known);

 private:
  struct Level {
    decide::CgroupName name;
    decide::CgroupLimits limits;
  };
  struct Orphan {
    std::shared_ptr<GroupManager> manager;
    decide::CgroupName name;
    std::string uid;
  };

  std::shared_ptr<GroupManager> Manager() const;
  std::vector<std::shared_ptr<GroupManager>> Managers() const;
  std::vector<Level> LevelsOf(decide::QosClass qos) const;
  std::vector<Level> LevelsOf(const corev1::Pod& pod) const;
  decide::CgroupLimits LimitsOf(const corev1::Pod& pod) const;
  static Status Apply(GroupManager& manager, const std::vector<Level>& levels);
  Task<Status> Measured(std::string_view operation, std::function<Status()> work);
  static Result<std::vector<Orphan>> FindOrphans(const std::vector<std::shared_ptr<GroupManager>>& managers,
                                                 const std::string& root, WallTime before);

  Ports ports_;
  const PodCgroupSettings settings_;
  const std::shared_ptr<GroupManager> cgroupfs_;
  const std::shared_ptr<GroupManager> systemd_;
  async::Semaphore making_;  // no group is removed as an orphan's while one is made
};

}  // namespace daemonsetd::pods
