// Groups that the agent makes by itself, for runtimes with the driver cgroupfs.
#pragma once

#include "agent/pods/cgroups/group_manager.h"

namespace daemonsetd::pods {

class CgroupfsGroups : public GroupManager {
 public:
  explicit CgroupfsGroups(std::shared_ptr<GroupTree> tree) : GroupManager(std::move(tree)) {}

  std::string PathOf(const decide::CgroupName& name) const override { return decide::CgroupfsPath(name); }
  Status Ensure(const decide::CgroupName& name, const decide::CgroupLimits& limits) override;
  Status Remove(const decide::CgroupName& name) override;
  Status RemoveEmpty(const decide::CgroupName& name) override { return tree_->RemoveEmpty(PathOf(name)); }
  std::optional<std::string> UidOf(const std::string& directory, const decide::CgroupName&) const override {
    return decide::UidOfCgroupfs(directory);
  }
};

}  // namespace daemonsetd::pods
