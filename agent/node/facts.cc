#include "agent/node/facts.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>

namespace daemonsetd::node {
namespace {

constexpr std::size_t kFileLimit = 4 << 20;  // /proc/cpuinfo of a large machine is about 1 MiB

// Empty when the file can't be read: /proc and /sys differ between machines, and the caller knows what it can miss.
std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text;
  std::array<char, 4096> buffer;
  while (in.read(buffer.data(), buffer.size()) || in.gcount() > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > kFileLimit) break;
  }
  return text;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

std::string ReadLine(const std::string& path) {
  const std::string text = ReadText(path);
  return std::string(Trim(std::string_view(text).substr(0, text.find('\n'))));
}

template <class Function>
void ForEachLine(std::string_view text, Function function) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    function(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    line = Trim(line);
    if (line.empty()) return words;
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

template <class Number>
std::optional<Number> ParseNumber(std::string_view text, int base = 10) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

int CountCpus(const std::string& root) {
  if (const int online = CountCpuList(ReadLine(root + "/sys/devices/system/cpu/online")); online > 0) return online;
  int count = 0;
  ForEachLine(ReadText(root + "/proc/cpuinfo"), [&](std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && Trim(line.substr(0, colon)) == "processor") ++count;
  });
  return count;
}

std::uint64_t MemoryTotal(std::string_view meminfo) {
  std::uint64_t bytes = 0;
  ForEachLine(meminfo, [&](std::string_view line) {
    const std::vector<std::string_view> words = Words(line);
    if (words.size() < 2 || words[0] != "MemTotal:") return;
    const std::optional<std::uint64_t> kib = ParseNumber<std::uint64_t>(words[1]);
    if (kib && *kib < (std::uint64_t{1} << 50)) bytes = *kib * 1024;
  });
  return bytes;
}

std::map<std::uint64_t, std::uint64_t> HugePages(const std::string& root) {
  std::map<std::uint64_t, std::uint64_t> pages;
  std::error_code code;
  for (std::filesystem::directory_iterator it(root + "/sys/kernel/mm/hugepages", code), end; !code && it != end;
       it.increment(code)) {
    std::string_view size = std::string_view(it->path().native());
    size.remove_prefix(size.rfind('/') + 1);
    if (!size.starts_with("hugepages-") || !size.ends_with("kB")) continue;
    size.remove_prefix(std::strlen("hugepages-"));
    size.remove_suffix(2);
    const auto kib = ParseNumber<std::uint64_t>(size);
    const auto count = ParseNumber<std::uint64_t>(ReadLine(it->path().string() + "/nr_hugepages"));
    if (kib && count) pages[*kib] = *count;
  }
  return pages;
}

std::string OsImage(const std::string& root) {
  std::string text = ReadText(root + "/etc/os-release");
  if (text.empty()) text = ReadText(root + "/usr/lib/os-release");
  std::string name;
  ForEachLine(text, [&](std::string_view line) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    line = Trim(line);
    if (!line.starts_with(kKey)) return;
    line.remove_prefix(kKey.size());
    if (line.size() >= 2 && (line.front() == '"' || line.front() == '\'') && line.back() == line.front()) {
      line = line.substr(1, line.size() - 2);
    }
    name = std::string(line);
  });
  return name.empty() ? "Linux" : name;
}

std::uint64_t FileSystemSize(std::filesystem::path path) {
  for (;;) {
    struct statvfs status{};
    if (::statvfs(path.c_str(), &status) == 0) return std::uint64_t{status.f_blocks} * status.f_frsize;
    // Not made yet: it will be on the file system of its nearest parent.
    if (!path.has_relative_path()) return 0;
    path = path.parent_path();
  }
}

std::vector<InterfaceAddress> ReadAddresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, &::freeifaddrs);
  std::vector<InterfaceAddress> all;
  for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
    if (item->ifa_addr == nullptr || (item->ifa_flags & IFF_UP) == 0 || (item->ifa_flags & IFF_LOOPBACK) != 0) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* address = nullptr;
    if (item->ifa_addr->sa_family == AF_INET) {
      address = &reinterpret_cast<const sockaddr_in*>(item->ifa_addr)->sin_addr;
    } else if (item->ifa_addr->sa_family == AF_INET6) {
      address = &reinterpret_cast<const sockaddr_in6*>(item->ifa_addr)->sin6_addr;
    }
    if (address == nullptr) continue;
    if (::inet_ntop(item->ifa_addr->sa_family, address, text.data(), text.size()) == nullptr) continue;
    all.push_back({.interface = item->ifa_name, .address = text.data()});
  }
  return all;
}

// Reachable from other machines.
bool IsGlobal(const std::string& text) {
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    const std::uint32_t address = ntohl(v4.s_addr);
    const bool loopback = address >> 24 == 127;
    const bool link_local = address >> 16 == 0xa9fe;  // 169.254/16
    return address != 0 && !loopback && !link_local && address >> 28 != 0xe;
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return false;
  return !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_LOOPBACK(&v6) && !IN6_IS_ADDR_LINKLOCAL(&v6) &&
         !IN6_IS_ADDR_MULTICAST(&v6) && !IN6_IS_ADDR_V4MAPPED(&v6);
}

bool IsVersion6(const std::string& text) { return text.find(':') != std::string::npos; }

}  // namespace

Result<MachineFacts> ReadMachineFacts(const std::string& root_path, const std::string& pod_root) {
  const std::string root = root_path == "/" ? "" : root_path;
  MachineFacts facts;
  facts.cpus = CountCpus(root);
  // The first user namespace alone maps every ID to itself.
  const std::string user_ids = ReadLine(root + "/proc/self/uid_map");
  facts.in_user_namespace =
      !user_ids.empty() && Words(user_ids) != std::vector<std::string_view>{"0", "0", "4294967295"};
  facts.cgroup_v2 = std::filesystem::exists(root + "/sys/fs/cgroup/cgroup.controllers");
  facts.memory_bytes = MemoryTotal(ReadText(root + "/proc/meminfo"));
  facts.huge_pages = HugePages(root);
  facts.ephemeral_storage_bytes = FileSystemSize(pod_root);
  facts.machine_id = ReadLine(root + "/etc/machine-id");
  if (facts.machine_id.empty()) facts.machine_id = ReadLine(root + "/var/lib/dbus/machine-id");
  facts.system_uuid = ReadLine(root + "/sys/class/dmi/id/product_uuid");
  if (facts.system_uuid.empty()) facts.system_uuid = facts.machine_id;
  facts.boot_id = ReadLine(root + "/proc/sys/kernel/random/boot_id");
  facts.kernel_version = ReadLine(root + "/proc/sys/kernel/osrelease");
  facts.os_image = OsImage(root);
  utsname name{};
  if (::uname(&name) == 0) facts.architecture = GoArchitecture(name.machine);
  facts.addresses = ChooseAddresses(ReadAddresses(), DefaultInterface4(ReadText(root + "/proc/net/route")),
                                    DefaultInterface6(ReadText(root + "/proc/net/ipv6_route")));
  const auto missing = [&](std::string_view what, std::string_view file) {
    return Error(ErrorKind::kFatal,
                 fmt::format("can't find {} of this machine in {}{}; is /proc mounted?", what, root, file));
  };
  if (facts.cpus <= 0) return missing("the number of CPUs", "/proc/cpuinfo");
  if (facts.memory_bytes == 0) return missing("the size of the memory", "/proc/meminfo");
  if (facts.boot_id.empty()) return missing("the boot ID", "/proc/sys/kernel/random/boot_id");
  return facts;
}

std::string GoArchitecture(std::string_view machine) {
  struct Pair {
    std::string_view machine, go;
  };
  constexpr Pair kNames[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i386", "386"},
                             {"i486", "386"},     {"i586", "386"},      {"i686", "386"},
                             {"armv6l", "arm"},   {"armv7l", "arm"},    {"loongarch64", "loong64"}};
  for (const Pair& pair : kNames) {
    if (pair.machine == machine) return std::string(pair.go);
  }
  return std::string(machine);  // ppc64le, s390x, riscv64 are called the same
}

int CountCpuList(std::string_view list) {
  constexpr int kHighest = 1 << 16;
  int count = 0;
  list = Trim(list);
  while (!list.empty()) {
    const std::string_view range = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), range.size() + 1));
    const std::size_t dash = range.find('-');
    const auto first = ParseNumber<int>(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : ParseNumber<int>(range.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last > kHighest) return 0;
    count += *last - *first + 1;
  }
  return count;
}

std::string DefaultInterface4(std::string_view route) {
  std::string best;
  std::uint64_t best_metric = ~std::uint64_t{0};
  ForEachLine(route, [&](std::string_view line) {
    const std::vector<std::string_view> words = Words(line);
    if (words.size() < 8 || words[1] != "00000000" || words[7] != "00000000") return;
    const auto metric = ParseNumber<std::uint64_t>(words[6]);
    if (!metric || *metric >= best_metric) return;
    best_metric = *metric;
    best = std::string(words[0]);
  });
  return best;
}

std::string DefaultInterface6(std::string_view ipv6_route) {
  std::string best;
  std::uint64_t best_metric = ~std::uint64_t{0};
  ForEachLine(ipv6_route, [&](std::string_view line) {
    const std::vector<std::string_view> words = Words(line);
    if (words.size() < 10 || words[1] != "00" || words[9] == "lo") return;
    if (words[0].find_first_not_of('0') != std::string_view::npos) return;
    const auto metric = ParseNumber<std::uint64_t>(words[5], 16);
    if (!metric || *metric >= best_metric) return;
    best_metric = *metric;
    best = std::string(words[9]);
  });
  return best;
}

std::vector<std::string> ChooseAddresses(const std::vector<InterfaceAddress>& all, std::string_view interface4,
                                         std::string_view interface6) {
  std::vector<std::string> chosen;
  for (const bool version6 : {false, true}) {
    const std::string_view wanted = version6 ? interface6 : interface4;
    const InterfaceAddress* best = nullptr;
    for (const InterfaceAddress& item : all) {
      if (IsVersion6(item.address) != version6 || !IsGlobal(item.address)) continue;
      if (best == nullptr || (best->interface != wanted && item.interface == wanted)) best = &item;
    }
    if (best != nullptr) chosen.push_back(best->address);
  }
  return chosen;
}

}  // namespace daemonsetd::node
