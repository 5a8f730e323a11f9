#include "agent/pods/cgroups/cgroupfs_groups.h"

namespace daemonsetd::pods {

Status CgroupfsGroups::Ensure(const decide::CgroupName& name, const decide::CgroupLimits& limits) {
  const std::string path = PathOf(name);
  DAEMONSETD_RETURN_IF_ERROR(tree_->Make(path));
  return tree_->Limit(path, limits);
}

Status CgroupfsGroups::Remove(const decide::CgroupName& name) {
  const std::string path = PathOf(name);
  return tree_->Exists(path) ? tree_->Remove(path) : Ok();
}

}  // namespace daemonsetd::pods
