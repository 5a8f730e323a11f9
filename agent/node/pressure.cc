#include "agent/node/pressure.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>

namespace daemonsetd::node {
namespace {

using decide::Amount;

constexpr std::size_t kFileLimit = 64 << 10;
constexpr std::uint64_t kMostKib = std::uint64_t{1} << 50;
constexpr char kBlanks[] = " \t\n";

// Empty when it can't be read.
std::string ReadSmallFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(kFileLimit, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  return text;
}

// The number that the text begins with, blanks before it aside.
std::optional<std::uint64_t> LeadingNumber(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

// "MemTotal:   123 kB", "inactive_file 123": the number behind that first word of a line.
std::optional<std::uint64_t> NumberOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, length);
    const bool found = line.starts_with(key) && line.size() > key.size() &&
                       std::string_view(kBlanks).find(line[key.size()]) != std::string_view::npos;
    if (found) return LeadingNumber(line.substr(key.size()));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> NumberIn(const std::string& path) { return LeadingNumber(ReadSmallFile(path)); }

std::optional<Amount> ReadMemory(const std::string& root) {
  const std::string meminfo = ReadSmallFile(root + "/proc/meminfo");
  const auto total_kib = NumberOf(meminfo, "MemTotal:");
  const auto available_kib = NumberOf(meminfo, "MemAvailable:");
  if (!total_kib || *total_kib == 0 || *total_kib > kMostKib) return std::nullopt;
  Amount memory{.available = 0, .capacity = *total_kib * 1024};
  const std::string cgroup = root + "/sys/fs/cgroup/memory";
  const auto usage = NumberIn(cgroup + "/memory.usage_in_bytes");
  const auto inactive = NumberOf(ReadSmallFile(cgroup + "/memory.stat"), "total_inactive_file");
  if (usage && inactive) {
    const std::uint64_t working_set = *usage > *inactive ? *usage - *inactive : 0;
    memory.available = memory.capacity > working_set ? memory.capacity - working_set : 0;
  } else if (available_kib && *available_kib <= *total_kib) {
    memory.available = *available_kib * 1024;
  } else {
    return std::nullopt;
  }
  return memory;
}

// The fourth word of /proc/loadavg is "running/all" tasks.
std::optional<std::uint64_t> CountTasks(const std::string& root) {
  const std::string text = ReadSmallFile(root + "/proc/loadavg");
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  return LeadingNumber(std::string_view(text).substr(slash + 1));
}

std::optional<Amount> ReadPids(const std::string& root) {
  const auto pid_max = NumberIn(root + "/proc/sys/kernel/pid_max");
  const auto threads_max = NumberIn(root + "/proc/sys/kernel/threads-max");
  const auto tasks = CountTasks(root);
  if (!pid_max || !tasks) return std::nullopt;
  const std::uint64_t most = threads_max ? std::min(*pid_max, *threads_max) : *pid_max;
  return Amount{.available = most > *tasks ? most - *tasks : 0, .capacity = most};
}

void ReadDisk(const std::string& path, std::optional<Amount>& bytes, std::optional<Amount>& inodes) {
  struct statvfs status{};
  if (path.empty() || ::statvfs(path.c_str(), &status) != 0) return;
  if (status.f_blocks > 0) {
    bytes = Amount{.available = std::uint64_t{status.f_bavail} * status.f_frsize,
                   .capacity = std::uint64_t{status.f_blocks} * status.f_frsize};
  }
  if (status.f_files > 0) inodes = Amount{.available = status.f_ffree, .capacity = status.f_files};
}

std::optional<dev_t> DeviceOf(const std::string& path) {
  struct stat status{};
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_dev;
}

}  // namespace

decide::PressureSignals ReadPressure(const PressurePaths& paths) {
  const std::string root = paths.root == "/" ? "" : paths.root;
  decide::PressureSignals signals;
  signals.memory = ReadMemory(root);
  signals.pids = ReadPids(root);
  ReadDisk(paths.pod_root, signals.pod_disk, signals.pod_disk_inodes);
  ReadDisk(paths.image_root, signals.image_disk, signals.image_disk_inodes);
  const auto pods = DeviceOf(paths.pod_root);
  const auto images = DeviceOf(paths.image_root);
  if (pods && images) signals.one_disk = *pods == *images;
  return signals;
}

}  // namespace daemonsetd::node
