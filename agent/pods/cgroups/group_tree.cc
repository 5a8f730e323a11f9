#include "agent/pods/cgroups/group_tree.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "agent/base/text.h"
#include "agent/pods/cgroups/cgroup_v1.h"
#include "agent/pods/cgroups/cgroup_v2.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kMountInfoLimit = std::size_t{16} << 20;
constexpr char kPageSizeDirectory[] = "/sys/kernel/mm/hugepages";
constexpr int kRemoveAttempts = 40;
// What v1 says of memory without limit: the largest number of whole pages.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 62;

// Of superblock options, those that are no controllers.
bool IsOption(std::string_view word) {
  return word == "rw" || word == "ro" || word.find('=') != std::string_view::npos || word == "xattr" ||
         word == "clone_children" || word == "noprefix" || word.starts_with("cpuset_v2_mode");
}

}  // namespace

CgroupMounts ParseCgroupMounts(std::string_view mountinfo) {
  // "36 35 98:0 /root /mount/point options optional… - type source superblock,options"
  CgroupMounts found;
  std::set<std::string_view> devices;  // one hierarchy may be mounted twice
  std::string unified;
  for (const std::string_view line : SplitText(mountinfo, '\n')) {
    const std::size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) continue;
    const auto first = SplitText(line.substr(0, separator), ' ');
    const auto last = SplitText(line.substr(separator + 3), ' ');
    // Of a part of a hierarchy, paths in it mean something else.
    if (first.size() < 5 || last.size() < 3 || first[3] != "/") continue;
    if (last[0] == "cgroup2" && unified.empty()) unified = first[4];
    if (last[0] != "cgroup" || !devices.insert(first[2]).second) continue;
    Hierarchy& hierarchy = found.hierarchies.emplace_back();
    hierarchy.root = first[4];
    for (const std::string_view word : SplitText(last[2], ',')) {
      if (!IsOption(word)) hierarchy.controllers.emplace(word);
    }
  }
  found.unified = found.hierarchies.empty() && !unified.empty();
  if (!unified.empty()) found.hierarchies.push_back({.root = unified, .controllers = {}});
  return found;
}

std::vector<std::string> PageSizes(const std::vector<std::string>& directories) {
  constexpr std::string_view kPrefix = "hugepages-";
  std::vector<std::string> sizes;
  for (const std::string_view name : directories) {
    if (!name.starts_with(kPrefix)) continue;
    std::uint64_t kilobytes = 0;
    const std::string_view number = name.substr(kPrefix.size());
    std::from_chars(number.data(), number.data() + number.size(), kilobytes);
    if (kilobytes == 0) continue;
    std::string_view unit = "KB";
    for (const std::string_view larger : {"MB", "GB"}) {
      if (kilobytes % 1024 != 0) break;
      kilobytes /= 1024;
      unit = larger;
    }
    sizes.push_back(fmt::format("{}{}", kilobytes, unit));
  }
  return sizes;
}

std::vector<std::string> PrefixesOf(const std::string& path) {
  std::vector<std::string> prefixes;
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    prefixes.push_back(path.substr(0, end));
  }
  prefixes.push_back(path);
  return prefixes;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

std::optional<std::int64_t> ParseLimit(std::string_view text) {
  text = Trimmed(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value >= kNoLimit) return std::nullopt;
  return value;
}

Status GroupTree::Set(const std::string& file, const std::string& text) {
  const auto present = files_->Read(file);
  if (present && Trimmed(*present) == text) return Ok();
  return files_->Write(file, text);
}

bool GroupTree::Exists(const std::string& path) const {
  return std::any_of(hierarchies_.begin(), hierarchies_.end(),
                     [&](const Hierarchy& hierarchy) { return files_->Exists(hierarchy.root + path); });
}

std::vector<std::string> GroupTree::GroupsIn(const std::string& path) const {
  std::set<std::string> names;
  for (const Hierarchy& hierarchy : hierarchies_) {
    const auto found = files_->GroupsIn(hierarchy.root + path);
    if (found) names.insert(found->begin(), found->end());
  }
  return {names.begin(), names.end()};
}

bool GroupTree::HasProcesses(const std::string& path) const {
  return std::any_of(hierarchies_.begin(), hierarchies_.end(),
                     [&](const Hierarchy& hierarchy) { return HasProcessesIn(hierarchy.root + path); });
}

// What cannot be read may hold some, unless it is gone.
bool GroupTree::HasProcessesIn(const std::string& directory) const {
  const auto processes = files_->Read(directory + "/cgroup.procs");
  if (processes ? !Trimmed(*processes).empty() : processes.error().kind() != ErrorKind::kAbsent) return true;
  const auto groups = files_->GroupsIn(directory);
  if (!groups) return true;
  return std::any_of(groups->begin(), groups->end(),
                     [&](const std::string& name) { return HasProcessesIn(directory + "/" + name); });
}

bool GroupTree::IsOlderThan(const std::string& path, WallTime when) const {
  return std::all_of(hierarchies_.begin(), hierarchies_.end(), [&](const Hierarchy& hierarchy) {
    const auto made = files_->MadeBefore(hierarchy.root + path);
    return !made || *made < when;
  });
}

Status GroupTree::RemoveEmptyIn(const std::string& directory) {
  const auto groups = files_->GroupsIn(directory);
  if (!groups) return groups.error();
  for (const std::string& name : *groups) DAEMONSETD_RETURN_IF_ERROR(RemoveEmptyIn(directory + "/" + name));
  return files_->Remove(directory);
}

Status GroupTree::RemoveEmpty(const std::string& path) {
  Status removed = Ok();
  for (const Hierarchy& hierarchy : hierarchies_) {
    const Status here = RemoveEmptyIn(hierarchy.root + path);
    if (!here) removed = here;
  }
  return removed;
}

void GroupTree::Kill(const std::string& directory) {
  if (const auto groups = files_->GroupsIn(directory)) {
    for (const std::string& name : *groups) Kill(directory + "/" + name);
  }
  const auto listed = files_->Read(directory + "/cgroup.procs");
  if (!listed) return;
  for (const pid_t process : ParseProcesses(*listed)) files_->Kill(directory, process);
}

void GroupTree::KillAll(const std::string& path) {
  for (const Hierarchy& hierarchy : hierarchies_) Kill(hierarchy.root + path);
}

Status GroupTree::Remove(const std::string& path) {
  Status removed = Ok();
  for (int attempt = 0; attempt < kRemoveAttempts; ++attempt) {
    if (attempt > 0) files_->Pause();
    KillAll(path);
    removed = RemoveEmpty(path);
    if (removed) return removed;
  }
  return removed;
}

std::unique_ptr<GroupTree> MakeGroupTree(std::shared_ptr<GroupFiles> files, const CgroupMounts& mounts,
                                         std::vector<std::string> page_sizes) {
  if (mounts.unified) return std::make_unique<CgroupV2>(std::move(files), mounts.hierarchies, std::move(page_sizes));
  return std::make_unique<CgroupV1>(std::move(files), mounts.hierarchies, std::move(page_sizes));
}

std::unique_ptr<GroupTree> FindGroupTree() {
  const auto mountinfo = ReadSmallFile("/proc/self/mountinfo", kMountInfoLimit);
  const auto page_sizes = ListDirectory(kPageSizeDirectory);
  return MakeGroupTree(std::make_shared<KernelGroupFiles>(), mountinfo ? ParseCgroupMounts(*mountinfo) : CgroupMounts(),
                       page_sizes ? PageSizes(*page_sizes) : std::vector<std::string>());
}

}  // namespace daemonsetd::pods
