#include "agent/store/record_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "agent/async/descriptor.h"
#include "agent/store/record_format.h"

namespace daemonsetd::store {
namespace {

using async::Descriptor;

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

Error Failed(std::string_view what, int error_number) {
  return Error(ErrorKind::kRetry, fmt::format("{}: {}", what, std::generic_category().message(error_number)));
}

Descriptor OpenDirectory(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

// The directory and its parent; what is above belongs to the configuration.
Status MakeDirectory(const std::string& path) {
  const std::string parent = path.substr(0, path.rfind('/'));
  for (const std::string& one : {parent, path}) {
    if (::mkdir(one.c_str(), kDirectoryMode) != 0 && errno != EEXIST) return Failed("make directory " + one, errno);
    const Descriptor directory = OpenDirectory(one);
    if (!directory) return Failed("open directory " + one, errno);
    struct stat status{};
    if (::fstat(directory.get(), &status) != 0) return Failed("look at " + one, errno);
    if ((status.st_mode & 07777) != kDirectoryMode && ::fchmod(directory.get(), kDirectoryMode) != 0) {
      return Failed("set the mode of " + one, errno);
    }
  }
  return Ok();
}

Status WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return Ok();
}

// Complete on disk under its temporary name.
Status WriteUnfinished(int directory, const std::string& name, std::string_view content) {
  const Descriptor file(
      ::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  if (!file) return Failed("create", errno);
  DAEMONSETD_RETURN_IF_ERROR(WriteAll(file.get(), content));
  if (::fsync(file.get()) != 0) return Failed("fsync", errno);
  return Ok();
}

Status Apply(int directory, const FileChange& change) {
  if (!change.content) {
    if (::unlinkat(directory, change.name.c_str(), 0) != 0 && errno != ENOENT) return Failed("remove", errno);
    return Ok();
  }
  const std::string unfinished = change.name + std::string(kUnfinishedEnding);
  Status written = WriteUnfinished(directory, unfinished, *change.content);
  if (written && ::renameat(directory, unfinished.c_str(), directory, change.name.c_str()) != 0) {
    written = Failed("rename", errno);
  }
  // On a full disk half a file takes the room that the next attempt needs.
  if (!written) ::unlinkat(directory, unfinished.c_str(), 0);
  return written;
}

Result<std::string> Read(int directory, const std::string& name, timespec& written_at) {
  // Without O_NONBLOCK a pipe put there would hold up the start.
  const Descriptor file(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return Failed("open", errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return Failed("look at it", errno);
  if (!S_ISREG(status.st_mode)) return Error(ErrorKind::kInvalid, "it is no regular file; move it away");
  if ((status.st_mode & 07777) != kFileMode && ::fchmod(file.get(), kFileMode) != 0) {
    return Failed("set its mode", errno);
  }
  written_at = status.st_mtim;
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed("read", errno);
    if (count == 0) return content;
    content.append(buffer, static_cast<std::size_t>(count));
    if (content.size() > kMaxRecordBytes) return Error(ErrorKind::kInvalid, "it is larger than a record; move it away");
  }
}

Result<std::vector<std::string>> ListNames(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return Failed("read directory " + path, errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0) return Failed("read directory " + path, errno);
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

DirectoryContent ReadDirectory(const std::string& path, std::size_t max_files) {
  DirectoryContent content;
  const auto problem = [&content](const Error& error) { content.problems.push_back(error.message()); };
  if (const Status made = MakeDirectory(path); !made) problem(made.error());
  const auto names = ListNames(path);
  const Descriptor directory = OpenDirectory(path);
  if (!names || !directory) {
    problem(names ? Failed("open directory " + path, errno) : names.error());
    return content;
  }
  struct Found {
    RecordFile file;
    timespec written_at;
  };
  std::vector<Found> found;
  for (const std::string& name : *names) {
    if (name.ends_with(kDamagedEnding)) continue;
    const std::string full = path + "/" + name;
    if (name.ends_with(kUnfinishedEnding)) {
      if (::unlinkat(directory.get(), name.c_str(), 0) != 0) problem(Failed("remove " + full, errno));
      continue;
    }
    Found one{.file = {.name = name, .content = {}}, .written_at = {}};
    Result<std::string> bytes = Read(directory.get(), name, one.written_at);
    if (!bytes) {
      problem(bytes.error().WithContext(full));
      continue;
    }
    one.file.content = std::move(*bytes);
    found.push_back(std::move(one));
  }
  if (found.size() > max_files) {
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
      return std::pair(a.written_at.tv_sec, a.written_at.tv_nsec) >
             std::pair(b.written_at.tv_sec, b.written_at.tv_nsec);
    });
    for (std::size_t i = max_files; i < found.size(); ++i) {
      if (::unlinkat(directory.get(), found[i].file.name.c_str(), 0) != 0) {
        problem(Failed("remove " + path + "/" + found[i].file.name, errno));
      }
    }
    found.resize(max_files);
  }
  for (Found& one : found) content.files.push_back(std::move(one.file));
  return content;
}

std::string SetAside(const std::string& directory, const std::string& name) {
  const std::string path = directory + "/" + name;
  const std::string aside = path + std::string(kDamagedEnding);
  if (::rename(path.c_str(), aside.c_str()) == 0) return "set aside as " + aside;
  return Failed("it could not be set aside", errno).message();
}

Status ApplyChanges(const std::vector<FileChange>& changes, std::vector<bool>& saved) {
  Status answer = Ok();
  saved.assign(changes.size(), false);
  const auto fail = [&answer](const Error& error) {
    if (answer) answer = error;
  };
  std::set<std::string> directories;
  for (const FileChange& change : changes) directories.insert(change.directory);
  for (const std::string& path : directories) {
    // Somebody may have removed it since.
    if (const Status made = MakeDirectory(path); !made) {
      fail(made.error());
      continue;
    }
    const Descriptor directory = OpenDirectory(path);
    if (!directory) {
      fail(Failed("open directory " + path, errno));
      continue;
    }
    std::vector<std::size_t> applied;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (changes[i].directory != path) continue;
      if (const Status done = Apply(directory.get(), changes[i]); done) {
        applied.push_back(i);
      } else {
        fail(done.error().WithContext(path + "/" + changes[i].name));
      }
    }
    // Only this makes the new names last.
    if (::fsync(directory.get()) != 0) {
      fail(Failed("fsync " + path, errno));
      continue;
    }
    for (const std::size_t index : applied) saved[index] = true;
  }
  return answer;
}

}  // namespace daemonsetd::store
