#include "agent/pods/volumes/atomic_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <set>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "agent/pods/files.h"
#include "agent/pods/paths.h"
#include "agent/pods/volumes/remove_tree.h"

namespace daemonsetd::pods {
namespace {

constexpr std::string_view kReserved = "..";
constexpr std::string_view kData = "..data";
constexpr std::string_view kTemporaryLink = "..data_tmp";
constexpr mode_t kDirectoryMode = 0755;
constexpr int kMaxDepth = 64;

// With an fsGroup, as the kubelet's SetVolumeOwnership does for a volume that is mounted read-only.
mode_t FileMode(mode_t mode, bool has_group) { return (mode & 07777) | (has_group ? 0440 : 0); }
mode_t DirectoryMode(bool has_group) { return kDirectoryMode | (has_group ? S_ISGID : 0); }

std::string_view FirstPart(std::string_view path) { return path.substr(0, path.find('/')); }

// Only root can give files away; whoever else runs this, a test, keeps them.
bool MayChown() { return ::geteuid() == 0; }

bool HasOwner(const struct stat& status, const std::optional<uid_t>& user, const std::optional<gid_t>& group) {
  return !MayChown() || (status.st_uid == user.value_or(0) && status.st_gid == group.value_or(0));
}

// The number of files beneath a directory; unset when something else than files and directories is in there.
std::optional<std::size_t> CountFiles(const std::string& directory, int depth = 0) {
  const Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names || depth > kMaxDepth) return std::nullopt;
  std::size_t count = 0;
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
    if (S_ISREG(status.st_mode)) {
      ++count;
    } else if (S_ISDIR(status.st_mode)) {
      const std::optional<std::size_t> inside = CountFiles(path, depth + 1);
      if (!inside) return std::nullopt;
      count += *inside;
    } else {
      return std::nullopt;
    }
  }
  return count;
}

bool IsSame(const std::string& path, const WantedFile& wanted, const std::optional<gid_t>& group) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if ((status.st_mode & 07777) != FileMode(wanted.mode, group.has_value())) return false;
  if (!HasOwner(status, wanted.user, group)) return false;
  if (static_cast<std::uint64_t>(status.st_size) != wanted.content.size()) return false;
  const Result<std::string> content = ReadSmallFile(path, wanted.content.size());
  return content && *content == wanted.content;
}

bool HoldsExactly(const std::string& directory, const WantedFiles& wanted) {
  struct stat status{};
  if (::lstat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return false;
  if (CountFiles(directory) != wanted.files.size()) return false;
  for (const auto& [path, file] : wanted.files) {
    if (!IsSame(directory + "/" + path, file, wanted.group)) return false;
  }
  return true;
}

// Go's "..2006_01_02_15_04_05." and nanoseconds, the next free one.
std::string NewDirectoryName(const std::set<std::string>& present, WallTime now) {
  for (;; now += Nanoseconds(1)) {
    const auto seconds = std::chrono::floor<Seconds>(now);
    const std::string name = fmt::format("..{:%Y_%m_%d_%H_%M_%S}.{:09}",
                                         fmt::gmtime(seconds.time_since_epoch().count()), (now - seconds).count());
    if (!present.contains(name)) return name;
  }
}

std::vector<FileStep> WriteSteps(const std::string& directory, const WantedFiles& wanted) {
  std::vector<FileStep> steps = {{.kind = FileStep::Kind::kMakeDirectory, .path = directory, .group = wanted.group}};
  std::set<std::string> made;
  for (const auto& [path, file] : wanted.files) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const std::string parent = directory + "/" + path.substr(0, slash);
      if (!made.insert(parent).second) continue;
      steps.push_back({.kind = FileStep::Kind::kMakeDirectory, .path = parent, .group = wanted.group});
    }
    steps.push_back(
        {.kind = FileStep::Kind::kWriteFile, .path = directory + "/" + path, .file = &file, .group = wanted.group});
  }
  return steps;
}

// The first parts of the mount points that are directories here. Where a file of that name came first, what is mounted
// covers it.
std::set<std::string> MountPointsBeside(const std::set<std::string>& links, const std::string& volume,
                                        const WantedFiles& wanted, std::vector<FileStep>& steps) {
  std::set<std::string> beside, made;
  for (const std::string& path : wanted.mount_points) {
    const std::string first(FirstPart(path));
    struct stat status{};
    const bool is_there = ::lstat((volume + "/" + first).c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    if (links.contains(first) && !is_there) continue;
    beside.insert(first);
    for (std::size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end + 1);
      const std::string directory = volume + "/" + path.substr(0, end);
      if (!made.insert(directory).second) continue;
      if (::lstat(directory.c_str(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) continue;
        steps.push_back({.kind = FileStep::Kind::kRemove, .path = directory});
      }
      steps.push_back({.kind = FileStep::Kind::kMakeDirectory, .path = directory, .group = wanted.group});
    }
  }
  return beside;
}

Status MakeDirectory(const FileStep& step) {
  if (::mkdir(step.path.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
    return SystemError("mkdir " + step.path, errno);
  }
  if (MayChown() && ::lchown(step.path.c_str(), 0, step.group.value_or(0)) != 0) {
    return SystemError("chown " + step.path, errno);
  }
  if (::chmod(step.path.c_str(), DirectoryMode(step.group.has_value())) != 0) {
    return SystemError("chmod " + step.path, errno);
  }
  return Ok();
}

Status WriteFile(const FileStep& step) {
  const Descriptor file(::open(step.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return SystemError("create " + step.path, errno);
  std::string_view content = step.file->content;
  while (!content.empty()) {
    const ssize_t written = ::write(file.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write " + step.path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (MayChown() && ::fchown(file.get(), step.file->user.value_or(0), step.group.value_or(0)) != 0) {
    return SystemError("chown " + step.path, errno);
  }
  if (::fchmod(file.get(), FileMode(step.file->mode, step.group.has_value())) != 0) {
    return SystemError("chmod " + step.path, errno);
  }
  return Ok();
}

Status MakeLink(const FileStep& step) {
  const std::string temporary = step.path.substr(0, step.path.rfind('/') + 1) + std::string(kTemporaryLink);
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) return SystemError("remove " + temporary, errno);
  if (::symlink(step.target.c_str(), temporary.c_str()) != 0) return SystemError("link " + temporary, errno);
  if (::rename(temporary.c_str(), step.path.c_str()) != 0) {
    return SystemError("rename " + temporary + " to " + step.path, errno);
  }
  return Ok();
}

}  // namespace

Status CheckFilePath(std::string_view path) {
  const auto refuse = [path](std::string_view why) {
    return Error(ErrorKind::kInvalid, fmt::format("path \"{}\" {}", path.substr(0, 64), why));
  };
  if (path.empty()) return refuse("must not be empty");
  if (path.size() >= PATH_MAX) return refuse("is too long for the file system");
  if (path.front() == '/') return refuse("must be relative");
  if (path.starts_with(kReserved)) return refuse("must not begin with \"..\"");
  int depth = 0;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t slash = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, slash - start);
    if (part == "." || part == "..") return refuse("must not contain \".\" or \"..\"");
    if (const Status status = CheckPathComponent(part, "a part of it"); !status)
      return refuse(status.error().message());
    if (++depth > kMaxDepth) return refuse("has too many parts");
    start = slash + 1;
  }
  return Ok();
}

Result<std::vector<FileStep>> PlanFiles(const std::string& volume, const WantedFiles& wanted, WallTime now) {
  using Kind = FileStep::Kind;
  std::set<std::string> links;  // the names that users see
  for (const auto& [path, file] : wanted.files) {
    DAEMONSETD_RETURN_IF_ERROR(CheckFilePath(path));
    links.insert(std::string(FirstPart(path)));
  }
  const Result<std::vector<std::string>> listed = ListDirectory(volume);
  if (!listed) return listed.error();
  const std::set<std::string> present(listed->begin(), listed->end());

  const std::string data = volume + "/" + std::string(kData);
  const std::string current = ReadLink(data).value_or("");
  const bool is_current = current.starts_with(kReserved) && current != kReserved && present.contains(current);
  const bool same = is_current && HoldsExactly(volume + "/" + current, wanted);

  std::vector<FileStep> steps;
  const std::set<std::string> mount_points = MountPointsBeside(links, volume, wanted, steps);
  const auto remove = [&](const std::string& name) {
    steps.push_back({.kind = Kind::kRemove, .path = volume + "/" + name});
  };
  for (const std::string& name : present) {
    const bool is_link_in_use = name == kData && !current.empty();
    if (name.starts_with(kReserved) && !is_link_in_use && !(is_current && name == current)) remove(name);
  }
  const std::string fresh = NewDirectoryName(present, now);
  if (!same) {
    for (FileStep& step : WriteSteps(volume + "/" + fresh, wanted)) steps.push_back(std::move(step));
  }
  // What the new version lacks goes before the swap: a link to nothing is never seen.
  for (const std::string& name : present) {
    if (!name.starts_with(kReserved) && !links.contains(name) && !mount_points.contains(name)) remove(name);
  }
  if (!same) steps.push_back({.kind = Kind::kLink, .path = data, .target = fresh});
  for (const std::string& name : links) {
    if (mount_points.contains(name)) continue;
    const std::string path = volume + "/" + name;
    const std::string target = std::string(kData) + "/" + name;
    const std::optional<std::string> link = ReadLink(path);
    if (link == target) continue;
    if (!link && present.contains(name)) remove(name);
    steps.push_back({.kind = Kind::kLink, .path = path, .target = target});
  }
  if (!same && is_current) remove(current);
  return steps;
}

Status Apply(const FileStep& step) {
  switch (step.kind) {
    case FileStep::Kind::kMakeDirectory: return MakeDirectory(step);
    case FileStep::Kind::kWriteFile: return WriteFile(step);
    case FileStep::Kind::kLink: return MakeLink(step);
    case FileStep::Kind::kRemove: return RemoveTree(step.path);
  }
  return Ok();
}

Result<bool> UpdateFiles(const std::string& volume, const WantedFiles& wanted, WallTime now) {
  const Result<std::vector<FileStep>> steps = PlanFiles(volume, wanted, now);
  if (!steps) return steps.error();
  for (const FileStep& step : *steps) DAEMONSETD_RETURN_IF_ERROR(Apply(step));
  return !steps->empty();
}

bool HasFiles(const std::string& volume) {
  struct stat status{};
  const std::string data = volume + "/" + std::string(kData);
  return ReadLink(data).has_value() && ::stat(data.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace daemonsetd::pods
