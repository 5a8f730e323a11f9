// The processes of one container, read from /proc, and their end. Calls block: run them on the blocking pool.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/pods/probes/leftover_processes.h"

namespace daemonsetd::pods {

class ProcessTable {
 public:
  explicit ProcessTable(std::string root = "/proc") : root_(std::move(root)) {}
  virtual ~ProcessTable() = default;

  // Now, in the unit of Process::start_ticks.
  virtual std::uint64_t Ticks() const;

  // Every process in the cgroup of `container_id`, to which `container_pid` belongs. kAbsent: that process is gone.
  // kUnsupported: its cgroup does not carry the container's ID, so nobody can say what else is in there.
  Result<std::vector<Process>> OfContainer(pid_t container_pid, const std::string& container_id) const;

  // SIGKILL to exactly this process: success also when it is gone, whoever has its number now.
  virtual Status Kill(const Process& process) const;

 private:
  std::string root_;
};

}  // namespace daemonsetd::pods
