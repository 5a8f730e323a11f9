#include "tests/unit/pods/cgroups/fake_kernel.h"

#include <cerrno>
#include <stdexcept>

#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

constexpr char kProcesses[] = "cgroup.procs";
constexpr char kUnlimited[] = "9223372036854771712\n";
constexpr char kOffered[] = "cpuset cpu io memory pids";  // no huge pages here

std::pair<std::string, std::string> Split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

CgroupMounts MountsOfV1() {
  return {.unified = false,
          .hierarchies = {{.root = "/cg/cpu,cpuacct", .controllers = {"cpu", "cpuacct"}},
                          {.root = "/cg/memory", .controllers = {"memory"}},
                          {.root = "/cg/pids", .controllers = {"pids"}},
                          {.root = "/cg/cpuset", .controllers = {"cpuset"}},
                          {.root = "/cg/hugetlb", .controllers = {"hugetlb"}},
                          {.root = "/cg/systemd", .controllers = {}},
                          {.root = "/cg/unified", .controllers = {}}}};
}

CgroupMounts MountsOfV2() { return {.unified = true, .hierarchies = {{.root = "/cg", .controllers = {}}}}; }

FakeKernel::FakeKernel(CgroupMounts mounts) : mounts_(std::move(mounts)) {
  for (const Hierarchy& hierarchy : mounts_.hierarchies) {
    Group& root = groups_[hierarchy.root];
    if (mounts_.unified) root.files = {{"cgroup.controllers", kOffered}, {"cgroup.subtree_control", ""}};
    if (hierarchy.controllers.contains("cpuset")) root.files = {{"cpuset.cpus", "0-1\n"}, {"cpuset.mems", "0\n"}};
  }
}

const Hierarchy& FakeKernel::HierarchyOf(const std::string& directory) const {
  for (const Hierarchy& hierarchy : mounts_.hierarchies) {
    if (directory.starts_with(hierarchy.root + "/")) return hierarchy;
  }
  throw std::logic_error("no hierarchy holds " + directory);
}

std::map<std::string, std::string> FakeKernel::FilesOf(const std::string& directory) const {
  std::map<std::string, std::string> files;
  std::set<std::string> controllers = HierarchyOf(directory).controllers;
  if (mounts_.unified) {
    std::string enabled = Content(Split(directory).first + "/cgroup.subtree_control");
    files = {{"cgroup.controllers", enabled}, {"cgroup.subtree_control", ""}};
    const auto add = [&](const std::string& name, std::map<std::string, std::string> more) {
      if (enabled.find(name + " ") != std::string::npos) files.merge(more);
    };
    add("cpu", {{"cpu.weight", "100\n"}, {"cpu.max", "max 100000\n"}});
    add("memory", {{"memory.max", "max\n"}});
    add("pids", {{"pids.max", "max\n"}});
    return files;
  }
  if (controllers.contains("cpu")) {
    files = {{"cpu.shares", "1024\n"}, {"cpu.cfs_period_us", "100000\n"}, {"cpu.cfs_quota_us", "-1\n"}};
  } else if (controllers.contains("memory")) {
    files = {{"memory.limit_in_bytes", kUnlimited}, {"memory.use_hierarchy", "0\n"}};
  } else if (controllers.contains("pids")) {
    files = {{"pids.max", "max\n"}};
  } else if (controllers.contains("cpuset")) {
    files = {{"cpuset.cpus", "\n"}, {"cpuset.mems", "\n"}};
  } else if (controllers.contains("hugetlb")) {
    files = {{"hugetlb.2MB.limit_in_bytes", kUnlimited}, {"hugetlb.1GB.limit_in_bytes", kUnlimited}};
  }
  return files;
}

void FakeKernel::AddProcess(const std::string& group, pid_t process) {
  for (const Hierarchy& hierarchy : mounts_.hierarchies) groups_.at(hierarchy.root + group).processes.insert(process);
}

void FakeKernel::MakeEverywhere(const std::string& group) {
  for (const Hierarchy& hierarchy : mounts_.hierarchies) {
    for (const std::string& prefix : PrefixesOf(group)) (void)Make(hierarchy.root + prefix);
  }
}

std::string FakeKernel::Content(const std::string& path) const {
  const auto text = Read(path);
  return text ? std::string(Trimmed(*text)) + (path.ends_with("subtree_control") ? " " : "") : "<none>";
}

std::set<std::string> FakeKernel::Groups() const {
  std::set<std::string> found;
  for (const auto& [directory, group] : groups_) found.insert(directory);
  for (const Hierarchy& hierarchy : mounts_.hierarchies) found.erase(hierarchy.root);
  return found;
}

std::set<pid_t> FakeKernel::processes() const {
  std::set<pid_t> found;
  for (const auto& [directory, group] : groups_) found.insert(group.processes.begin(), group.processes.end());
  return found;
}

bool FakeKernel::Exists(const std::string& path) const { return groups_.contains(path) || Read(path).has_value(); }

Result<std::string> FakeKernel::Read(const std::string& path) const {
  const auto [directory, name] = Split(path);
  const auto group = groups_.find(directory);
  if (group == groups_.end()) return SystemError("open " + path, ENOENT);
  if (name == kProcesses) {
    std::string text;
    for (const pid_t process : group->second.processes) text += std::to_string(process) + "\n";
    return text;
  }
  const auto file = group->second.files.find(name);
  if (file == group->second.files.end()) return SystemError("open " + path, ENOENT);
  return file->second;
}

Status FakeKernel::Write(const std::string& path, std::string_view text) {
  const auto [directory, name] = Split(path);
  if (!Exists(path)) return SystemError("open " + path, ENOENT);
  if (name == broken_) return SystemError("write " + path, EINVAL);
  ++writes_;
  std::string& content = groups_.at(directory).files.at(name);
  if (name == "cgroup.subtree_control") {
    const std::string controller(text.substr(1));
    if ((groups_.at(directory).files.at("cgroup.controllers") + " ").find(controller + " ") == std::string::npos) {
      return SystemError("write " + path, ENOENT);
    }
    content += controller + " ";
  } else {
    content = std::string(text == "-1" && name == "memory.limit_in_bytes" ? kUnlimited : text) + "\n";
  }
  return Ok();
}

Status FakeKernel::Make(const std::string& directory) {
  if (groups_.contains(directory)) return Ok();
  if (!groups_.contains(Split(directory).first)) return SystemError("mkdir " + directory, ENOENT);
  Group group{.files = FilesOf(directory), .processes = {}, .made = now_};
  groups_.emplace(directory, std::move(group));
  return Ok();
}

Status FakeKernel::Remove(const std::string& directory) {
  const auto group = groups_.find(directory);
  if (group == groups_.end()) return Ok();
  const auto groups = GroupsIn(directory);
  if (!group->second.processes.empty() || !groups->empty()) return SystemError("rmdir " + directory, EBUSY);
  groups_.erase(group);
  return Ok();
}

Result<std::vector<std::string>> FakeKernel::GroupsIn(const std::string& directory) const {
  std::vector<std::string> names;
  for (const auto& [path, group] : groups_) {
    const auto [parent, name] = Split(path);
    if (parent == directory) names.push_back(name);
  }
  return names;
}

std::optional<WallTime> FakeKernel::MadeBefore(const std::string& directory) const {
  const auto group = groups_.find(directory);
  return group == groups_.end() ? std::nullopt : std::optional(group->second.made);
}

void FakeKernel::Kill(const std::string& directory, pid_t process) {
  if (groups_.at(directory).processes.contains(process)) killed_.insert(process);
}

void FakeKernel::Pause() {
  for (auto& [directory, group] : groups_) {
    std::erase_if(group.processes,
                  [this](pid_t process) { return killed_.contains(process) && !immortal_.contains(process); });
  }
}

}  // namespace daemonsetd::pods
