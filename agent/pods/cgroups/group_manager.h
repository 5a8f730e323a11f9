// Who makes groups of pods, as the runtime's cgroup driver wants it: the agent by itself, or systemd. A port of
// PodCgroups. All functions block; safe on several threads.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/decide/pod_cgroup.h"
#include "agent/pods/cgroups/group_tree.h"

namespace daemonsetd::pods {

class GroupManager {
 public:
  virtual ~GroupManager() = default;

  // From the root of a hierarchy; what the runtime is told as parent of a pod's containers.
  virtual std::string PathOf(const decide::CgroupName& name) const = 0;
  // Makes it unless it is there, and sets its limits.
  virtual Status Ensure(const decide::CgroupName& name, const decide::CgroupLimits& limits) = 0;
  // With everything in it: processes are killed. Fine when it is gone.
  virtual Status Remove(const decide::CgroupName& name) = 0;
  // The same for one without processes; never kills.
  virtual Status RemoveEmpty(const decide::CgroupName& name) = 0;
  // Of the pod whose group has this directory's name in `parent`; unset: it is no pod's.
  virtual std::optional<std::string> UidOf(const std::string& directory, const decide::CgroupName& parent) const = 0;

  GroupTree& tree() { return *tree_; }

 protected:
  explicit GroupManager(std::shared_ptr<GroupTree> tree) : tree_(std::move(tree)) {}

  const std::shared_ptr<GroupTree> tree_;
};

}  // namespace daemonsetd::pods
