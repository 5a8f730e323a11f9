#include "agent/pods/cgroups/cgroup_v2.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "agent/base/text.h"

namespace daemonsetd::pods {
namespace {

// What a kubelet enables; the first three are what limits of pods need.
constexpr std::array kControllers{"cpu", "memory", "pids", "cpuset", "hugetlb", "io"};
constexpr std::size_t kNeeded = 3;

bool HasWord(std::string_view text, std::string_view word) {
  const std::vector<std::string_view> words = SplitText(Trimmed(text), ' ');
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::optional<std::string> Text(const std::optional<std::int64_t>& limit) {
  return limit ? std::optional(std::to_string(*limit)) : std::nullopt;
}

}  // namespace

Status CgroupV2::EnableControllers(const std::string& directory) {
  const auto offered = files_->Read(directory + "/cgroup.controllers");
  if (!offered) return offered.error();
  const std::string file = directory + "/cgroup.subtree_control";
  const auto enabled = files_->Read(file);
  if (!enabled) return enabled.error();
  for (std::size_t index = 0; index < kControllers.size(); ++index) {
    const std::string name = kControllers.at(index);
    if (!HasWord(*offered, name) || HasWord(*enabled, name)) continue;
    const Status written = files_->Write(file, "+" + name);
    if (!written && index < kNeeded) return written;
  }
  return Ok();
}

Status CgroupV2::Make(const std::string& path) {
  std::string parent = DirectoryOf("");
  for (const std::string& prefix : PrefixesOf(path)) {
    DAEMONSETD_RETURN_IF_ERROR(EnableControllers(parent));
    DAEMONSETD_RETURN_IF_ERROR(files_->Make(DirectoryOf(prefix)));
    parent = DirectoryOf(prefix);
  }
  return Ok();
}

Status CgroupV2::SetIfThere(const std::string& file, const std::optional<std::string>& text, const std::string& none) {
  if (!text && !files_->Exists(file)) return Ok();
  return Set(file, text.value_or(none));
}

Status CgroupV2::Limit(const std::string& path, const decide::CgroupLimits& limits) {
  const std::string directory = DirectoryOf(path);
  if (limits.cpu_shares) {
    DAEMONSETD_RETURN_IF_ERROR(Set(directory + "/cpu.weight", std::to_string(decide::CpuWeight(*limits.cpu_shares))));
  }
  if (!limits.complete) return Ok();
  std::optional<std::string> quota;
  if (limits.cpu_quota) quota = fmt::format("{} {}", *limits.cpu_quota, limits.cpu_period);
  DAEMONSETD_RETURN_IF_ERROR(SetIfThere(directory + "/cpu.max", quota, fmt::format("max {}", limits.cpu_period)));
  DAEMONSETD_RETURN_IF_ERROR(SetIfThere(directory + "/memory.max", Text(limits.memory), "max"));
  DAEMONSETD_RETURN_IF_ERROR(SetIfThere(directory + "/pids.max", Text(limits.pids), "max"));
  return LimitHugepages(path, limits);
}

Status CgroupV2::LimitHugepages(const std::string& path, const decide::CgroupLimits& limits) {
  for (const std::string& size : page_sizes_) {
    const std::string file = fmt::format("{}/hugetlb.{}.max", DirectoryOf(path), size);
    if (!files_->Exists(file)) continue;  // a kernel need not have this controller
    const auto wanted = limits.hugepages.find(size);
    const std::int64_t most = wanted == limits.hugepages.end() ? 0 : wanted->second;
    DAEMONSETD_RETURN_IF_ERROR(Set(file, std::to_string(most)));
  }
  return Ok();
}

decide::CgroupLimits CgroupV2::Present(const std::string& path) const {
  decide::CgroupLimits limits;
  if (const auto text = files_->Read(DirectoryOf(path) + "/cpu.max")) {
    limits.cpu_quota = ParseLimit(std::string_view(*text).substr(0, text->find(' ')));
  }
  if (const auto text = files_->Read(DirectoryOf(path) + "/memory.max")) limits.memory = ParseLimit(*text);
  return limits;
}

}  // namespace daemonsetd::pods
