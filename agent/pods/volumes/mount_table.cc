#include "agent/pods/volumes/mount_table.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "agent/async/descriptor.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

// A node with 10,000 mounts has about 2 MiB of them.
constexpr std::size_t kMaxMountInfo = 64 * 1024 * 1024;

// proc_pid_mountinfo(5), counted from 0.
constexpr std::size_t kMountPoint = 4;
constexpr std::size_t kFirstOptional = 6;  // any number of them, then "-", then the file system's type

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

// The words of each complete line.
std::vector<std::vector<std::string_view>> Lines(std::string_view text) {
  std::vector<std::vector<std::string_view>> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::vector<std::string_view> words = Words(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (words.size() > kFirstOptional) lines.push_back(std::move(words));
  }
  return lines;
}

bool IsAtOrBeneath(std::string_view path, std::string_view directory) {
  return directory == "/" || path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
}

// The process that called listen().
Result<pid_t> ListenerOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return SystemError("connect " + path, ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  const async::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return SystemError("make a socket", errno);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return SystemError("connect " + path, errno);
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return SystemError("ask who listens on " + path, errno);
  }
  return peer.pid;
}

}  // namespace

std::vector<MountEntry> ParseMountInfo(std::string_view text, std::string_view directory) {
  std::vector<MountEntry> entries;
  for (const std::vector<std::string_view>& words : Lines(text)) {
    MountEntry entry{.path = Unescape(words[kMountPoint])};
    if (!IsAtOrBeneath(entry.path, directory)) continue;
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

bool IsOnSharedMount(std::string_view text, std::string_view directory) {
  std::size_t longest = 0;
  bool shared = false;
  for (const std::vector<std::string_view>& words : Lines(text)) {
    const std::string path = Unescape(words[kMountPoint]);
    // The later of two mounts on one path hides the earlier.
    if (!IsAtOrBeneath(directory, path) || path.size() < longest) continue;
    longest = path.size();
    const auto end = std::find(words.begin() + kFirstOptional, words.end(), "-");
    shared = std::any_of(words.begin() + kFirstOptional, end,
                         [](std::string_view field) { return field.starts_with("shared:"); });
  }
  return shared;
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

Status CheckMountsReachTheRuntime(const std::string& directory, const std::string& runtime_socket) {
  const Result<pid_t> runtime = ListenerOf(runtime_socket);
  if (!runtime) return runtime.error();
  const auto own = ReadLink("/proc/self/ns/mnt");
  // A sandboxed agent may not see the other's; then only a shared mount is proof.
  const auto other = ReadLink("/proc/" + std::to_string(*runtime) + "/ns/mnt");
  if (own && own == other) return Ok();
  std::string existing = directory;
  Result<std::string> real = RealPath(existing);
  while (!real && existing.size() > 1) {
    existing = existing.substr(0, std::max<std::size_t>(1, existing.rfind('/')));
    real = RealPath(existing);
  }
  if (!real) return real.error();
  const Result<std::string> table = ReadSmallFile("/proc/self/mountinfo", kMaxMountInfo);
  if (!table) return table.error();
  if (IsOnSharedMount(*table, *real)) return Ok();
  return Error(
      ErrorKind::kInvalid,
      "podRoot: daemonsetd has a mount namespace of its own, and what it mounts below " + directory +
          " does not reach the container runtime: volumes in memory and subPath will be empty in containers; "
          "run it without PrivateMounts= and what implies it, or make the mount shared: mount --make-rshared " +
          directory);
}

}  // namespace daemonsetd::pods
