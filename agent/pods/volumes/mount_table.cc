#include "agent/pods/volumes/mount_table.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

// A node with 10,000 mounts has about 2 MiB of them.
constexpr std::size_t kMaxMountInfo = 64 * 1024 * 1024;

// The kernel writes space, tab, newline and backslash as three octal digits.
std::string Unescape(std::string_view field) {
  std::string text;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const auto octal = [&](std::size_t at) { return at < field.size() && field[at] >= '0' && field[at] <= '7'; };
    if (field[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      text.push_back(static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0')));
      i += 3;
    } else {
      text.push_back(field[i]);
    }
  }
  return text;
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  }
  return words;
}

}  // namespace

std::vector<MountEntry> ParseMountInfo(std::string_view text, std::string_view directory) {
  constexpr std::size_t kMountPoint = 4;     // proc_pid_mountinfo(5), counted from 0
  constexpr std::size_t kFirstOptional = 6;  // any number of them, then "-", then the file system's type
  std::vector<MountEntry> entries;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::vector<std::string_view> words = Words(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (words.size() <= kFirstOptional) continue;
    MountEntry entry{.path = Unescape(words[kMountPoint])};
    const bool inside = entry.path == directory || (entry.path.size() > directory.size() &&
                                                    entry.path.compare(0, directory.size(), directory) == 0 &&
                                                    entry.path[directory.size()] == '/');
    if (!inside) continue;
    for (std::size_t i = kFirstOptional; i + 1 < words.size(); ++i) {
      if (words[i] == "-") {
        entry.file_system = words[i + 1];
        break;
      }
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), std::free);
  if (!resolved) return SystemError("resolve " + path, errno);
  return std::string(resolved.get());
}

Result<std::vector<MountEntry>> MountsBeneath(const std::string& directory) {
  const Result<std::string> table = ReadSmallFile("/proc/self/mountinfo", kMaxMountInfo);
  if (!table) return table.error();
  return ParseMountInfo(*table, directory);
}

}  // namespace daemonsetd::pods
