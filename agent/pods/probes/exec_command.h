// One command in a container, for a probe or hook, that is over when its time is.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"
#include "agent/pods/probes/probe_result.h"
#include "agent/pods/probes/process_table.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

struct ExecCommand {
  std::string container_id;
  std::vector<std::string> command;
  std::string pod;  // "namespace/name", for logs
};

struct ExecCounters {
  std::uint64_t timed_out = 0;
  std::uint64_t abandoned = 0;  // of these: commands whose processes could not be told from others, or not be reached
};

class ExecRunner {
 public:
  // All must outlive every Run.
  ExecRunner(cri::Runtime& runtime, async::Timeline& timeline, async::BlockingPool& pool,
             const ProcessTable& processes);

  // Success: exit code 0. Failure: any other, or no end within `timeout`; then the call is given up, whatever the
  // runtime does with it, and what the command left in the container is killed (PB-07). Unknown: the runtime could not
  // run it. Throws operation_aborted when the calling coroutine is cancelled; the runtime then ends the command.
  Task<ProbeResult> Run(ExecCommand exec, Nanoseconds timeout);

  const ExecCounters& counters() const { return counters_; }

 private:
  struct Hunt;
  class UnderWay;
  Task<std::optional<pid_t>> PidOf(std::string container_id, MonoTime when, MonoTime deadline);
  ProbeResult TimedOut(const ExecCommand& exec, const Hunt& hunt, Nanoseconds timeout);

  cri::Runtime& runtime_;
  async::Timeline& timeline_;
  async::BlockingPool& pool_;
  const ProcessTable& processes_;
  ExecCounters counters_;
  std::list<const Hunt*> under_way_;
};

// The process that ContainerStatus' verbose answer names as the container's first; nullopt when it names none.
std::optional<pid_t> ContainerPid(const cri::v1::ContainerStatusResponse& response);

}  // namespace daemonsetd::pods
