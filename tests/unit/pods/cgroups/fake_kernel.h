// A kernel with control groups: files that come with a group, controllers that are enabled from above, groups with
// processes that cannot be removed, processes that need a moment to end.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/pods/cgroups/group_tree.h"

namespace daemonsetd::pods {

class FakeKernel : public GroupFiles {
 public:
  // The roots are there, with all the files that a root has and what is said of each.
  explicit FakeKernel(CgroupMounts mounts);

  // What a test does to the machine.
  void AddProcess(const std::string& group, pid_t process);  // "/kubepods/pod1", in every hierarchy
  void SetImmortal(pid_t process) { immortal_.insert(process); }
  // By somebody else, at this moment.
  void MakeEverywhere(const std::string& group);
  void SetNow(WallTime now) { now_ = now; }
  // As of a machine whose groups cannot be changed; empty: they can.
  void BreakWrites(const std::string& file) { broken_ = file; }

  // What it looks at. "<none>" where there is no such file.
  std::string Content(const std::string& path) const;
  std::set<std::string> Groups() const;  // all, the roots aside
  std::set<pid_t> processes() const;
  int writes() const { return writes_; }

  bool Exists(const std::string& path) const override;
  Result<std::string> Read(const std::string& path) const override;
  Status Write(const std::string& path, std::string_view text) override;
  Status Make(const std::string& directory) override;
  Status Remove(const std::string& directory) override;
  Result<std::vector<std::string>> GroupsIn(const std::string& directory) const override;
  std::optional<WallTime> MadeBefore(const std::string& directory) const override;
  void Kill(const std::string& directory, pid_t process) override;
  void Pause() override;

 private:
  struct Group {
    std::map<std::string, std::string> files;
    std::set<pid_t> processes;
    WallTime made;
  };

  const Hierarchy& HierarchyOf(const std::string& directory) const;
  std::map<std::string, std::string> FilesOf(const std::string& directory) const;

  const CgroupMounts mounts_;
  std::map<std::string, Group> groups_;  // by directory
  std::set<pid_t> immortal_;
  std::set<pid_t> killed_;
  std::string broken_;
  WallTime now_{};
  int writes_ = 0;
};

// As on Debian with version 1: combined, single and named hierarchies.
CgroupMounts MountsOfV1();
CgroupMounts MountsOfV2();

}  // namespace daemonsetd::pods
