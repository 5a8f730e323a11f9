// How much memory, disk and how many PIDs this machine has left: what the Node's pressure conditions compare.
#pragma once

#include <string>

#include "agent/decide/pressure.h"

namespace daemonsetd::node {

struct PressurePaths {
  std::string root = "/";  // goes before /proc and /sys; another one in tests
  std::string pod_root;    // the pods' directories
  std::string image_root;  // the runtime's files; empty where the runtime does not say
};

// What can't be read is unset. statvfs can hang on a dead network file system: call it on the blocking pool.
//
// Memory is what the kubelet takes: capacity less the working set, where the root control group tells its usage (v1),
// else MemAvailable. PIDs: the smaller of pid_max and threads-max, less the tasks that exist.
decide::PressureSignals ReadPressure(const PressurePaths& paths);

}  // namespace daemonsetd::node
