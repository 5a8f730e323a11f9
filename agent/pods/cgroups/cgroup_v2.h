// Control groups of version 2: one hierarchy, in which each group says which controllers those in it have.
#pragma once

#include "agent/pods/cgroups/group_tree.h"

namespace daemonsetd::pods {

class CgroupV2 : public GroupTree {
 public:
  CgroupV2(std::shared_ptr<GroupFiles> files, std::vector<Hierarchy> hierarchies, std::vector<std::string> page_sizes)
      : GroupTree(std::move(files), std::move(hierarchies)), page_sizes_(std::move(page_sizes)) {}

  bool unified() const override { return true; }
  Status Make(const std::string& path) override;
  Status Limit(const std::string& path, const decide::CgroupLimits& limits) override;
  Status LimitHugepages(const std::string& path, const decide::CgroupLimits& limits) override;
  decide::CgroupLimits Present(const std::string& path) const override;

 private:
  std::string DirectoryOf(const std::string& path) const { return hierarchies_.front().root + path; }
  // For the groups in `directory`.
  Status EnableControllers(const std::string& directory);
  // Where the controller is missing, only a limit that is one misses it.
  Status SetIfThere(const std::string& file, const std::optional<std::string>& text, const std::string& none);

  const std::vector<std::string> page_sizes_;
};

}  // namespace daemonsetd::pods
