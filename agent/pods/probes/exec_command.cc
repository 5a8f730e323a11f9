#include "agent/pods/probes/exec_command.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "agent/async/within_deadline.h"
#include "agent/base/log.h"
#include "agent/model/json_reader.h"

namespace daemonsetd::pods {

namespace this_coro = boost::asio::this_coro;

namespace {

// Rounds of looking and killing: a process may fork while it is being killed.
constexpr int kMaximumRounds = 20;

// The runtime's own limit comes after ours: once it has killed the command's first process, the others can no longer be
// told from the container's. It is there for the case that we are not.
constexpr Seconds kRuntimeMargin{1};
// The transport's, after that.
constexpr Nanoseconds kCallMargin = Seconds(3);

cri::v1::ExecSyncRequest RequestOf(const ExecCommand& exec, Nanoseconds timeout) {
  cri::v1::ExecSyncRequest request;
  request.set_container_id(exec.container_id);
  for (const std::string& word : exec.command) request.add_cmd(word);
  request.set_timeout((std::chrono::ceil<Seconds>(timeout) + kRuntimeMargin).count());
  return request;
}

ProbeResult Judge(const Result<cri::v1::ExecSyncResponse>& answer) {
  if (!answer) return ProbeUnknown(answer.error().message());
  const std::string output = OneLine(answer->stdout() + answer->stderr());
  if (answer->exit_code() == 0) return ProbeSuccess(output);
  if (!output.empty()) return ProbeFailure(output);
  return ProbeFailure(fmt::format("command exited with code {} and printed nothing", answer->exit_code()));
}

}  // namespace

// What is known of one command's processes; written on the blocking pool while the coroutine waits.
struct ExecRunner::Hunt {
  // Notes what tells this one's processes from those of `others`. On the loop.
  void Compare(const std::list<const Hunt*>& others);
  Status Look(const ProcessTable& table);
  Status KillAll(const ProcessTable& table);

  std::string container_id;
  ExecSearch search;
  ExecFinding finding{.kind = ExecFinding::Kind::kAmbiguous};
  std::string trouble = "the runtime did not tell the container's process";  // why nothing was found or killed
  std::vector<Process> known;
  bool clean = false;  // nothing of the command runs any more
};

// A command is listed as long as its processes may be there.
class ExecRunner::UnderWay {
 public:
  UnderWay(std::list<const Hunt*>& list, const Hunt* hunt) : list_(list), place_(list.insert(list.end(), hunt)) {}
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  ~UnderWay() { list_.erase(place_); }

 private:
  std::list<const Hunt*>& list_;
  std::list<const Hunt*>::iterator place_;
};

void ExecRunner::Hunt::Compare(const std::list<const Hunt*>& others) {
  for (const Hunt* other : others) {
    if (other == this || other->container_id != container_id) continue;
    search.other_commands.push_back(other->search.command);
    if (other->search.not_before > search.not_before) {
      search.next_call = std::min(search.next_call, other->search.not_before);
    }
  }
}

Status ExecRunner::Hunt::Look(const ProcessTable& table) {
  const Result<std::vector<Process>> processes = table.OfContainer(search.container_pid, container_id);
  if (!processes) return processes.error();
  finding = FindExec(*processes, search);
  switch (finding.kind) {
    case ExecFinding::Kind::kNone: return Error(ErrorKind::kAbsent, "no process of the container can be the command's");
    case ExecFinding::Kind::kAmbiguous:
      return Error(ErrorKind::kInvalid, "the command's process cannot be told from others of the container");
    case ExecFinding::Kind::kFound: break;
  }
  known = LeftBehind(*processes, finding.leader, search.container_pid, {});
  return Ok();
}

Status ExecRunner::Hunt::KillAll(const ProcessTable& table) {
  for (int round = 0; round < kMaximumRounds; ++round) {
    const Result<std::vector<Process>> processes = table.OfContainer(search.container_pid, container_id);
    clean = !processes && processes.error().kind() == ErrorKind::kAbsent;  // the container ended, and all in it
    if (clean) return Ok();
    if (!processes) return processes.error();
    std::vector<Process> left = LeftBehind(*processes, finding.leader, search.container_pid, known);
    clean = left.empty();
    if (clean) return Ok();
    for (const Process& process : left) DAEMONSETD_RETURN_IF_ERROR(table.Kill(process));
    known.insert(known.end(), std::make_move_iterator(left.begin()), std::make_move_iterator(left.end()));
  }
  return Error(ErrorKind::kRetry, "its processes are still there after many kills");
}

ExecRunner::ExecRunner(cri::Runtime& runtime, async::Timeline& timeline, async::BlockingPool& pool,
                       const ProcessTable& processes)
    : runtime_(runtime), timeline_(timeline), pool_(pool), processes_(processes) {}

Task<std::optional<pid_t>> ExecRunner::PidOf(std::string container_id, MonoTime when, MonoTime deadline) {
  co_await timeline_.SleepUntil(when);
  const auto status = co_await runtime_.ContainerStatus(std::move(container_id), true, deadline - timeline_.mono());
  if (!status) co_return std::nullopt;
  co_return ContainerPid(*status);
}

Task<ProbeResult> ExecRunner::Run(ExecCommand exec, Nanoseconds timeout) {
  auto hunt = std::make_shared<Hunt>();
  hunt->container_id = exec.container_id;
  hunt->search.command = exec.command;
  hunt->search.not_before = processes_.Ticks();
  const UnderWay listed(under_way_, hunt.get());
  const async::Executor executor = co_await this_coro::executor;
  const MonoTime begin = timeline_.mono();
  const MonoTime deadline = begin + timeout;
  async::Running<Result<cri::v1::ExecSyncResponse>> call(
      executor, runtime_.ExecSync(RequestOf(exec, timeout), timeout + kRuntimeMargin + kCallMargin));
  // Asked half way: most commands have long ended then and cost no further call.
  async::Running<std::optional<pid_t>> pid(executor, PidOf(exec.container_id, begin + timeout / 2, deadline));
  const bool ended = co_await call.WaitUntil(&timeline_, deadline);

  // From here to the end of what was started nothing may be interrupted; it is short.
  const bool throws = co_await this_coro::throw_if_cancelled();
  co_await this_coro::throw_if_cancelled(false);
  const bool timed_out = !ended && !call.cancelled();
  if (timed_out && pid.answer() && *pid.answer()) {
    hunt->search.container_pid = **pid.answer();
    hunt->Compare(under_way_);
    // Before the runtime hears that the call is given up: it kills the one process by which the others are known.
    std::function<Status()> look = [hunt, table = &processes_] { return hunt->Look(*table); };
    const Status looked = co_await pool_.Run(std::move(look));
    hunt->trouble = looked ? "" : looked.error().message();
  }
  co_await pid.End();
  co_await call.End();
  if (timed_out && hunt->finding.kind == ExecFinding::Kind::kFound) {
    std::function<Status()> kill = [hunt, table = &processes_] { return hunt->KillAll(*table); };
    const Status killed = co_await pool_.Run(std::move(kill));
    hunt->trouble = killed ? "" : killed.error().message();
  }
  co_await this_coro::throw_if_cancelled(throws);
  if (timed_out) co_return TimedOut(exec, *hunt, timeout);
  if (!call.answer()) co_return ProbeUnknown("the command was cancelled");
  const Result<cri::v1::ExecSyncResponse>& answer = *call.answer();
  if (!answer && answer.error().kind() == ErrorKind::kTimeout) {
    hunt->trouble = "the runtime gave up before its time";
    co_return TimedOut(exec, *hunt, timeout);
  }
  co_return Judge(answer);
}

ProbeResult ExecRunner::TimedOut(const ExecCommand& exec, const Hunt& hunt, Nanoseconds timeout) {
  ++counters_.timed_out;
  ProbeResult result = ProbeFailure(fmt::format("command timed out after {}", FormatDuration(timeout)));
  result.abandoned = !hunt.clean;
  if (hunt.clean) {
    log::Info("a command in a container timed out, all its processes are ended",
              {{"pod", exec.pod}, {"container", exec.container_id}, {"timeout", FormatDuration(timeout)}});
  } else {
    ++counters_.abandoned;
    log::Warning("a command in a container timed out and may have left processes there",
                 {{"pod", exec.pod},
                  {"container", exec.container_id},
                  {"timeout", FormatDuration(timeout)},
                  {"why", hunt.trouble}});
  }
  return result;
}

std::optional<pid_t> ContainerPid(const cri::v1::ContainerStatusResponse& response) {
  const auto info = response.info().find("info");
  if (info == response.info().end()) return std::nullopt;
  model::Tree tree;
  std::vector<const model::Node*> roots;
  if (model::ReadJson(info->second, tree, roots) || roots.size() != 1) return std::nullopt;
  const model::Node* node = roots.front()->Find("pid");
  if (!node || node->kind != model::Node::Kind::kNumber) return std::nullopt;
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(node->text.data(), node->text.data() + node->text.size(), pid);
  // 1 and what is below are never a container's.
  if (error != std::errc() || end != node->text.data() + node->text.size() || pid <= 1) return std::nullopt;
  return pid;
}

}  // namespace daemonsetd::pods
