// Which processes a timed-out exec left in its container (PB-07): pure, on what /proc says.
//
// containerd kills only the process that it started; that one's children live on. runc puts each process that it
// executes in a container into a session of its own, as a child of the shim, the parent of the container's first
// process too. So the exec is a session leader with that parent, younger than our call. Its command line tells it from
// others, but only as long as it stays: a shell replaces itself by the last command of its script.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace daemonsetd::pods {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t session = 0;
  bool ended = false;  // a zombie: only its entry is left, until its parent looks
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;     // clock ticks since boot; with the pid, the identity of a process
  std::vector<std::string> command;  // empty: no longer visible, as for a process that has ended
};

// /proc/PID/stat, without `command`. Nullopt when it is not such a text.
std::optional<Process> ParseProcessStat(std::string_view text);

// /proc/PID/cmdline.
std::vector<std::string> ParseCommandLine(std::string_view text);

// The line of /proc/PID/cgroup that tells a container's processes from all others, cut after the component that names
// the container: "4:memory:/kubepods/pod1/ID" or "0::/kubepods.slice/cri-containerd-ID.scope". Empty when none does.
std::string ContainerCgroup(std::string_view cgroup_file, std::string_view container_id);

// True when a process with this /proc/PID/cgroup is in `cgroup` or below it.
bool InCgroup(std::string_view cgroup_file, std::string_view cgroup);

// True when a process that was started as `wanted` may look like `seen`: the same words, or those of an interpreter
// that runs the script `wanted[0]`.
bool LooksLike(const std::vector<std::string>& seen, const std::vector<std::string>& wanted);

struct ExecSearch {
  pid_t container_pid = 0;       // the container's first process
  std::uint64_t not_before = 0;  // ticks: when the call began
  std::vector<std::string> command;
  // Of our other calls into this container that are under way: their commands, and when the first later one began.
  std::vector<std::vector<std::string>> other_commands;
  std::uint64_t next_call = std::numeric_limits<std::uint64_t>::max();
};

struct ExecFinding {
  enum class Kind {
    kFound,      // `leader` is the process that the runtime started for us
    kNone,       // no process in the container can be it
    kAmbiguous,  // several can, or one of which that cannot be said for sure: leave them alone
  };
  Kind kind = Kind::kNone;
  Process leader = {};
};

// `processes`: all of the container, its first one included. A process that runs something else than our command is the
// exec only if nothing in the container hints at one that has ended already.
ExecFinding FindExec(const std::vector<Process>& processes, const ExecSearch& search);

// The session of `leader` and the descendants of it and of the `known` ones, themselves included while they run. Never
// the container's first process. `known` are the finds of earlier looks, whose parents may be gone by now.
std::vector<Process> LeftBehind(const std::vector<Process>& processes, const Process& leader, pid_t container_pid,
                                const std::vector<Process>& known);

}  // namespace daemonsetd::pods
