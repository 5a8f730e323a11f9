// Groups that systemd makes, as transient slices, for runtimes with the driver systemd.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "agent/pods/cgroups/group_manager.h"

namespace daemonsetd::pods {

// systemd's manager on the system bus. Every call blocks and has a deadline of its own.
struct SliceUnits {
  // kExists: there is such a unit.
  std::function<Status(const std::string& slice, const decide::SliceProperties& properties)> start;
  std::function<Status(const std::string& slice, const decide::SliceProperties& properties)> set;
  // And forgets that it failed. Fine when there is no such unit.
  std::function<Status(const std::string& slice)> stop;
};

class SystemdSlices : public GroupManager {
 public:
  SystemdSlices(std::shared_ptr<GroupTree> tree, SliceUnits units)
      : GroupManager(std::move(tree)), units_(std::move(units)) {}

  std::string PathOf(const decide::CgroupName& name) const override { return decide::SlicePath(name); }
  Status Ensure(const decide::CgroupName& name, const decide::CgroupLimits& limits) override;
  Status Remove(const decide::CgroupName& name) override;
  Status RemoveEmpty(const decide::CgroupName& name) override;
  std::optional<std::string> UidOf(const std::string& directory, const decide::CgroupName& parent) const override {
    return decide::UidOfSlice(directory, parent);
  }

 private:
  // The slice has these since we said so.
  bool HasSet(const std::string& slice, const decide::SliceProperties& properties);
  void Remember(const std::string& slice, const decide::SliceProperties* properties);

  const SliceUnits units_;
  std::mutex mutex_;
  std::map<std::string, decide::SliceProperties> set_;  // by slice; spares the bus what would change nothing
};

}  // namespace daemonsetd::pods
