#include "agent/pods/log_links.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/base/log.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

constexpr std::string_view kTemporaryPrefix = ".daemonsetd-";
constexpr std::string_view kLogSuffix = ".log";

bool IsDangling(const std::string& path, const std::string& log_root) {
  const std::optional<std::string> target = ReadLink(path);
  if (!target || !target->starts_with(log_root + "/")) return false;  // not a link, or somebody else's
  return ::access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

// "3.log", "3.log.20261125-101500", "3.log.20261125-101500.gz".
std::optional<int> AttemptOf(std::string_view name) {
  int attempt = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), attempt);
  if (error != std::errc() || attempt < 0 || attempt == INT_MAX) return std::nullopt;
  const std::string_view rest = name.substr(static_cast<std::size_t>(end - name.data()));
  if (rest != kLogSuffix && !rest.starts_with(".log.")) return std::nullopt;
  return attempt;
}

}  // namespace

Status EnsureLogLink(const LogLink& link) {
  if (ReadLink(link.link) == link.target) return Ok();
  const std::size_t slash = link.link.rfind('/');
  const std::string directory = link.link.substr(0, slash);
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(directory, 0755));
  // The link's own name may leave no room for a suffix.
  const std::string temporary = fmt::format("{}/{}{:016x}", directory, kTemporaryPrefix, Fnv1a64(link.link));
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) return SystemError("remove " + temporary, errno);
  if (::symlink(link.target.c_str(), temporary.c_str()) != 0) return SystemError("symlink " + temporary, errno);
  if (::rename(temporary.c_str(), link.link.c_str()) != 0) {
    const Error error = SystemError("replace " + link.link, errno);
    ::unlink(temporary.c_str());
    return error;
  }
  return Ok();
}

Status RemoveLogLink(const std::string& link) {
  if (::unlink(link.c_str()) != 0 && errno != ENOENT) return SystemError("remove " + link, errno);
  return Ok();
}

Status RemoveLogLinksTo(const Directories& directories, const std::string& log_directory) {
  const Result<std::vector<std::string>> present = ListDirectory(directories.container_log_dir);
  if (!present) return present.error();
  Status first = Ok();
  for (const std::string& name : *present) {
    const std::string path = directories.container_log_dir + "/" + name;
    const std::optional<std::string> target = ReadLink(path);
    if (!target || !target->starts_with(log_directory + "/")) continue;
    if (const Status removed = RemoveLogLink(path); !removed && first) first = removed;
  }
  return first;
}

Status RemoveDanglingLogLinks(const Directories& directories) {
  const Result<std::vector<std::string>> present = ListDirectory(directories.container_log_dir);
  if (!present) return present.error();
  Status first = Ok();
  for (const std::string& name : *present) {
    const std::string path = directories.container_log_dir + "/" + name;
    if (!name.starts_with(kTemporaryPrefix) && !IsDangling(path, directories.log_root)) continue;
    if (const Status removed = RemoveLogLink(path); !removed && first) first = removed;
  }
  return first;
}

int NextAttemptFromLogs(const std::string& container_log_directory) {
  const Result<std::vector<std::string>> names = ListDirectory(container_log_directory);
  if (!names) {
    log::Warning("cannot look for old logs; the attempt number may repeat", {{"err", names.error().message()}});
    return 0;
  }
  int next = 0;
  for (const std::string& name : *names) {
    if (const auto attempt = AttemptOf(name)) next = std::max(next, *attempt + 1);
  }
  return next;
}

}  // namespace daemonsetd::pods
