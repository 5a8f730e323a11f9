#include "agent/pods/cgroups/cgroup_v1.h"

namespace daemonsetd::pods {
namespace {

std::string Text(const std::optional<std::int64_t>& limit, std::string_view none) {
  return limit ? std::to_string(*limit) : std::string(none);
}

std::string ParentOf(const std::string& directory) { return directory.substr(0, directory.rfind('/')); }

}  // namespace

std::string CgroupV1::DirectoryOf(const std::string& controller, const std::string& path) const {
  for (const Hierarchy& hierarchy : hierarchies_) {
    if (hierarchy.controllers.contains(controller)) return hierarchy.root + path;
  }
  return {};
}

Status CgroupV1::MakeOne(const Hierarchy& hierarchy, const std::string& directory) {
  if (files_->Exists(directory)) return Ok();
  DAEMONSETD_RETURN_IF_ERROR(files_->Make(directory));
  if (hierarchy.controllers.contains("cpuset")) {
    // Without both, no process can come in, and nobody below has more than its parent.
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      const auto of_parent = files_->Read(ParentOf(directory) + file);
      if (!of_parent) return of_parent.error();
      DAEMONSETD_RETURN_IF_ERROR(Set(directory + file, std::string(Trimmed(*of_parent))));
    }
  }
  if (hierarchy.controllers.contains("memory")) {
    // Kernels before 5.11 count what is below only if told so.
    const std::string file = directory + "/memory.use_hierarchy";
    const auto counts_below = files_->Read(file);
    if (counts_below && Trimmed(*counts_below) == "0") return files_->Write(file, "1");
  }
  return Ok();
}

Status CgroupV1::Make(const std::string& path) {
  const std::vector<std::string> prefixes = PrefixesOf(path);
  for (const Hierarchy& hierarchy : hierarchies_) {
    if (files_->Exists(hierarchy.root + path)) continue;
    for (const std::string& prefix : prefixes) {
      DAEMONSETD_RETURN_IF_ERROR(MakeOne(hierarchy, hierarchy.root + prefix));
    }
  }
  return Ok();
}

Status CgroupV1::Limit(const std::string& path, const decide::CgroupLimits& limits) {
  if (const std::string cpu = DirectoryOf("cpu", path); !cpu.empty()) {
    if (limits.cpu_shares) {
      DAEMONSETD_RETURN_IF_ERROR(Set(cpu + "/cpu.shares", std::to_string(*limits.cpu_shares)));
    }
  }
  if (!limits.complete) return Ok();
  if (const std::string cpu = DirectoryOf("cpu", path); !cpu.empty()) {
    const std::string quota = cpu + "/cpu.cfs_quota_us";
    if (limits.cpu_quota) {
      DAEMONSETD_RETURN_IF_ERROR(Set(cpu + "/cpu.cfs_period_us", std::to_string(limits.cpu_period)));
      DAEMONSETD_RETURN_IF_ERROR(Set(quota, std::to_string(*limits.cpu_quota)));
    } else if (files_->Exists(quota)) {  // a kernel need not have it
      DAEMONSETD_RETURN_IF_ERROR(Set(quota, "-1"));
    }
  }
  if (const std::string memory = DirectoryOf("memory", path); !memory.empty()) {
    const std::string file = memory + "/memory.limit_in_bytes";
    const auto present = files_->Read(file);
    const bool unlimited = present && !ParseLimit(*present);
    if (limits.memory || !unlimited) DAEMONSETD_RETURN_IF_ERROR(Set(file, Text(limits.memory, "-1")));
  }
  if (const std::string pids = DirectoryOf("pids", path); !pids.empty()) {
    DAEMONSETD_RETURN_IF_ERROR(Set(pids + "/pids.max", Text(limits.pids, "max")));
  }
  return LimitHugepages(path, limits);
}

Status CgroupV1::LimitHugepages(const std::string& path, const decide::CgroupLimits& limits) {
  const std::string directory = DirectoryOf("hugetlb", path);
  if (directory.empty()) return Ok();
  for (const std::string& size : page_sizes_) {
    const auto wanted = limits.hugepages.find(size);
    const std::int64_t most = wanted == limits.hugepages.end() ? 0 : wanted->second;
    DAEMONSETD_RETURN_IF_ERROR(Set(directory + "/hugetlb." + size + ".limit_in_bytes", std::to_string(most)));
  }
  return Ok();
}

decide::CgroupLimits CgroupV1::Present(const std::string& path) const {
  decide::CgroupLimits limits;
  const auto read = [&](const char* controller, const char* file) -> std::optional<std::int64_t> {
    const std::string directory = DirectoryOf(controller, path);
    const auto text = files_->Read(directory + file);
    return !directory.empty() && text ? ParseLimit(*text) : std::nullopt;
  };
  limits.cpu_quota = read("cpu", "/cpu.cfs_quota_us");
  limits.memory = read("memory", "/memory.limit_in_bytes");
  return limits;
}

}  // namespace daemonsetd::pods
