#include "agent/pods/probes/leftover_processes.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "agent/base/text.h"

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kInterpreterWords = 2;  // "/bin/sh -e", as a script's first line may say

template <class Number>
bool Parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view BaseName(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool IsSame(const Process& one, const Process& other) {
  return one.pid == other.pid && one.start_ticks == other.start_ticks;
}

}  // namespace

std::optional<Process> ParseProcessStat(std::string_view text) {
  // "PID (name) state parent group session …": the name may hold blanks and parentheses, so count from its end.
  const std::size_t open = text.find(" (");
  const std::size_t close = text.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const std::vector<std::string_view> fields = SplitText(text.substr(close + 2), ' ');
  constexpr std::size_t kState = 0;       // field 3 of proc(5)
  constexpr std::size_t kParent = 1;      // field 4
  constexpr std::size_t kSession = 3;     // field 6
  constexpr std::size_t kThreads = 17;    // field 20
  constexpr std::size_t kStartTime = 19;  // field 22
  if (fields.size() <= kStartTime) return std::nullopt;
  Process process;
  if (!Parse(text.substr(0, open), process.pid) || !Parse(fields[kParent], process.parent) ||
      !Parse(fields[kSession], process.session) || !Parse(fields[kThreads], process.threads) ||
      !Parse(fields[kStartTime], process.start_ticks)) {
    return std::nullopt;
  }
  process.ended = fields[kState] == "Z" || fields[kState] == "X";
  return process;
}

std::vector<std::string> ParseCommandLine(std::string_view text) {
  if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  if (text.empty()) return {};
  std::vector<std::string> words;
  for (std::size_t end = text.find('\0'); end != std::string_view::npos; end = text.find('\0')) {
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  words.emplace_back(text);
  return words;
}

std::string ContainerCgroup(std::string_view cgroup_file, std::string_view container_id) {
  if (container_id.empty()) return "";
  std::string_view found;
  for (std::string_view line : SplitText(cgroup_file, '\n')) {
    const std::size_t at = line.find(container_id);
    if (at == std::string_view::npos || line.find(":/") >= at) continue;
    line = line.substr(0, line.find('/', at));
    // Of cgroup v1 the hierarchy with the number of processes, which containers cannot leave; else the last one listed.
    found = line;
    if (line.starts_with("0::") || line.find(":pids:") != std::string_view::npos) break;
  }
  return std::string(found);
}

bool InCgroup(std::string_view cgroup_file, std::string_view cgroup) {
  if (cgroup.empty()) return false;
  for (const std::string_view line : SplitText(cgroup_file, '\n')) {
    if (line.starts_with(cgroup) && (line.size() == cgroup.size() || line[cgroup.size()] == '/')) return true;
  }
  return false;
}

bool LooksLike(const std::vector<std::string>& seen, const std::vector<std::string>& wanted) {
  if (wanted.empty() || seen.size() < wanted.size()) return false;
  if (seen == wanted) return true;
  const std::size_t extra = seen.size() - wanted.size();
  if (extra == 0 || extra > kInterpreterWords) return false;
  return BaseName(seen[extra]) == BaseName(wanted[0]) &&
         std::equal(wanted.begin() + 1, wanted.end(), seen.begin() + static_cast<std::ptrdiff_t>(extra) + 1);
}

namespace {

const Process* Find(const std::vector<Process>& processes, pid_t pid) {
  const auto found =
      std::find_if(processes.begin(), processes.end(), [&](const Process& process) { return process.pid == pid; });
  return found == processes.end() ? nullptr : &*found;
}

// Started by the runtime in this container since our call began.
bool IsExec(const Process& process, const Process& first, const ExecSearch& search) {
  return process.pid != first.pid && process.session == process.pid && process.parent == first.parent &&
         process.start_ticks >= search.not_before;
}

// The command of another of our calls.
bool IsAnothers(const Process& process, const ExecSearch& search) {
  return !LooksLike(process.command, search.command) &&
         std::any_of(search.other_commands.begin(), search.other_commands.end(),
                     [&](const auto& command) { return LooksLike(process.command, command); });
}

// True when there is a young process besides `candidate` and its kin that an exec could have left: one whose session
// has lost its leader, or that made a session of its own.
bool MayHaveEnded(const std::vector<Process>& processes, const Process& candidate, const Process& first,
                  const ExecSearch& search) {
  const std::vector<Process> kin = LeftBehind(processes, candidate, first.pid, {});
  return std::any_of(processes.begin(), processes.end(), [&](const Process& process) {
    if (process.ended || process.start_ticks < search.not_before) return false;
    if (std::any_of(kin.begin(), kin.end(), [&](const Process& each) { return IsSame(each, process); })) return false;
    const Process* leader = Find(processes, process.session);
    return !leader || (leader->start_ticks >= search.not_before && !IsExec(*leader, first, search));
  });
}

}  // namespace

ExecFinding FindExec(const std::vector<Process>& processes, const ExecSearch& search) {
  const Process* first = Find(processes, search.container_pid);
  if (!first) return {.kind = ExecFinding::Kind::kAmbiguous};  // no container, no parent to go by
  std::vector<const Process*> candidates;
  for (const Process& process : processes) {
    if (IsExec(process, *first, search) && !IsAnothers(process, search)) candidates.push_back(&process);
  }
  // What started before our next call into the container began cannot be that one's.
  const auto before_next = [&](const Process* each) { return each->start_ticks < search.next_call; };
  if (std::any_of(candidates.begin(), candidates.end(), before_next)) {
    std::erase_if(candidates, [&](const Process* each) { return !before_next(each); });
  }
  if (candidates.empty()) return {.kind = ExecFinding::Kind::kNone};
  const auto alike = [&](const Process* each) { return LooksLike(each->command, search.command); };
  const auto unseen = [](const Process* each) { return each->command.empty(); };
  if (std::count_if(candidates.begin(), candidates.end(), alike) == 1 &&
      std::none_of(candidates.begin(), candidates.end(), unseen)) {
    return {.kind = ExecFinding::Kind::kFound, .leader = **std::find_if(candidates.begin(), candidates.end(), alike)};
  }
  if (candidates.size() != 1 || MayHaveEnded(processes, *candidates.front(), *first, search)) {
    return {.kind = ExecFinding::Kind::kAmbiguous};
  }
  return {.kind = ExecFinding::Kind::kFound, .leader = *candidates.front()};
}

std::vector<Process> LeftBehind(const std::vector<Process>& processes, const Process& leader, pid_t container_pid,
                                const std::vector<Process>& known) {
  // A session keeps its number as long as it has members, even without its leader. A new process with the leader's
  // number tells that the session is over and the number means another one.
  const bool reused = std::any_of(processes.begin(), processes.end(), [&](const Process& process) {
    return process.pid == leader.pid && !IsSame(process, leader);
  });
  std::set<pid_t> ours;
  const auto is_ours = [&](const Process& process) {
    if (process.pid == container_pid || process.start_ticks < leader.start_ticks) return false;
    return (!reused && process.session == leader.pid) || IsSame(process, leader) || ours.count(process.parent) > 0 ||
           std::any_of(known.begin(), known.end(), [&](const Process& each) { return IsSame(process, each); });
  };
  // Until a round adds nothing: a child may be listed before its parent.
  for (bool grew = true; grew;) {
    grew = false;
    for (const Process& process : processes) {
      if (ours.count(process.pid) == 0 && is_ours(process)) grew = ours.insert(process.pid).second;
    }
  }
  std::vector<Process> found;
  for (const Process& process : processes) {
    if (ours.count(process.pid) > 0 && !process.ended) found.push_back(process);
  }
  return found;
}

}  // namespace daemonsetd::pods
