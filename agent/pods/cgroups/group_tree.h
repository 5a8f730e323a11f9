// The hierarchies of control groups of this machine: one with cgroup v2, one for each controller or few with v1. A path
// ("/kubepods/burstable/pod1") names a group in all of them. All functions block; safe on several threads.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "agent/decide/pod_cgroup.h"
#include "agent/pods/cgroups/group_files.h"

namespace daemonsetd::pods {

struct Hierarchy {
  std::string root;                   // where it is mounted
  std::set<std::string> controllers;  // of v1; empty for one that only has a name
};

struct CgroupMounts {
  bool unified = false;
  std::vector<Hierarchy> hierarchies;  // of v2: one
};
// Of /proc/self/mountinfo. A v2 that is mounted beside v1's has no controllers for us, but runc makes groups in it,
// too.
CgroupMounts ParseCgroupMounts(std::string_view mountinfo);

// "2MB" of each "hugepages-2048kB", as in /sys/kernel/mm/hugepages.
std::vector<std::string> PageSizes(const std::vector<std::string>& directories);

class GroupTree {
 public:
  virtual ~GroupTree() = default;

  virtual bool unified() const = 0;
  // Makes what is missing of the path, so that limits of the last group take effect.
  virtual Status Make(const std::string& path) = 0;
  virtual Status Limit(const std::string& path, const decide::CgroupLimits& limits) = 0;
  // Of these alone; fine where the machine has none.
  virtual Status LimitHugepages(const std::string& path, const decide::CgroupLimits& limits) = 0;
  // CPU quota and memory as they are enforced; the rest stays unset.
  virtual decide::CgroupLimits Present(const std::string& path) const = 0;

  // In any hierarchy.
  bool Exists(const std::string& path) const;
  // Names of the groups in it, of all hierarchies together.
  std::vector<std::string> GroupsIn(const std::string& path) const;
  // In it or below.
  bool HasProcesses(const std::string& path) const;
  // It was made before `when` in every hierarchy where it is.
  bool IsOlderThan(const std::string& path, WallTime when) const;
  // SIGKILL to every process in it and below.
  void KillAll(const std::string& path);
  // With the groups in it; fails where one has processes.
  Status RemoveEmpty(const std::string& path);
  // The same, and processes in it are killed first. kRetry: they do not end.
  Status Remove(const std::string& path);

 protected:
  GroupTree(std::shared_ptr<GroupFiles> files, std::vector<Hierarchy> hierarchies)
      : files_(std::move(files)), hierarchies_(std::move(hierarchies)) {}
  // Unless it says so already.
  Status Set(const std::string& file, const std::string& text);

  std::shared_ptr<GroupFiles> files_;
  const std::vector<Hierarchy> hierarchies_;

 private:
  void Kill(const std::string& directory);
  Status RemoveEmptyIn(const std::string& directory);
  bool HasProcessesIn(const std::string& directory) const;
};

// "/a/b/c": "/a", "/a/b", "/a/b/c".
std::vector<std::string> PrefixesOf(const std::string& path);
// Without the line's end.
std::string_view Trimmed(std::string_view text);
// A limit that the kernel wrote; unset for "max", "-1", and what no machine has.
std::optional<std::int64_t> ParseLimit(std::string_view text);

std::unique_ptr<GroupTree> MakeGroupTree(std::shared_ptr<GroupFiles> files, const CgroupMounts& mounts,
                                         std::vector<std::string> page_sizes);
// Of this machine.
std::unique_ptr<GroupTree> FindGroupTree();

}  // namespace daemonsetd::pods
