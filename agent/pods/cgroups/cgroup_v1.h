// Control groups of version 1: a hierarchy for each controller or few.
#pragma once

#include "agent/pods/cgroups/group_tree.h"

namespace daemonsetd::pods {

class CgroupV1 : public GroupTree {
 public:
  CgroupV1(std::shared_ptr<GroupFiles> files, std::vector<Hierarchy> hierarchies, std::vector<std::string> page_sizes)
      : GroupTree(std::move(files), std::move(hierarchies)), page_sizes_(std::move(page_sizes)) {}

  bool unified() const override { return false; }
  Status Make(const std::string& path) override;
  Status Limit(const std::string& path, const decide::CgroupLimits& limits) override;
  Status LimitHugepages(const std::string& path, const decide::CgroupLimits& limits) override;
  decide::CgroupLimits Present(const std::string& path) const override;

 private:
  Status MakeOne(const Hierarchy& hierarchy, const std::string& directory);
  // Of a controller; empty where the kernel has none.
  std::string DirectoryOf(const std::string& controller, const std::string& path) const;

  const std::vector<std::string> page_sizes_;
};

}  // namespace daemonsetd::pods
