// What the machine is, read from /proc, /sys and /etc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace daemonsetd::node {

struct InterfaceAddress {
  std::string interface;
  std::string address;  // text, without zone
  bool operator==(const InterfaceAddress&) const = default;
};

struct MachineFacts {
  int cpus = 0;
  std::uint64_t memory_bytes = 0;
  bool cgroup_v2 = false;                             // the unified hierarchy alone
  bool in_user_namespace = false;                     // other than that of the machine
  std::map<std::uint64_t, std::uint64_t> huge_pages;  // page size in KiB to number of pages, none of them perhaps
  std::uint64_t ephemeral_storage_bytes = 0;          // of the file system of the pods' directories
  std::string machine_id, system_uuid, boot_id;
  std::string kernel_version;
  std::string os_image;                // PRETTY_NAME of os-release
  std::string architecture;            // Go's name: "amd64"
  std::vector<std::string> addresses;  // the node's own: IPv4 first, at most one of each family
};

// `root` is "/" except in tests, and goes before /proc, /sys and /etc; `pod_root` is taken as it is, and need not exist
// yet. An error when a fact is missing without which the node can't be described (cpus, memory, boot ID).
Result<MachineFacts> ReadMachineFacts(const std::string& root, const std::string& pod_root);

// "x86_64" to "amd64"; an unknown name stays.
std::string GoArchitecture(std::string_view machine);

// The number of CPUs in "0-3,8"; 0 for anything else.
int CountCpuList(std::string_view list);

// Interfaces of the default routes, "" where there is none: of /proc/net/route and /proc/net/ipv6_route.
std::string DefaultInterface4(std::string_view route);
std::string DefaultInterface6(std::string_view ipv6_route);

// One address of each family: of the default route's interface, else the first that peers could reach. Loopback and
// link-local addresses never.
std::vector<std::string> ChooseAddresses(const std::vector<InterfaceAddress>& all, std::string_view interface4,
                                         std::string_view interface6);

}  // namespace daemonsetd::node
