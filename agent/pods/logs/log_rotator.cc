#include "agent/pods/logs/log_rotator.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "agent/base/log.h"
#include "agent/pods/logs/log_files.h"

namespace daemonsetd::pods {
namespace {

// Between two looks at a file that grows fast.
constexpr Nanoseconds kShortestLook = std::chrono::milliseconds(100);
// How a new container begins to write is not known yet.
constexpr Nanoseconds kSecondLook = std::chrono::seconds(1);
constexpr int kLowestPriority = 19;

// Of the calling thread, for good.
void LowerPriority() {
#ifdef SYS_ioprio_set
  constexpr int kOfThread = 1;
  constexpr int kIdleClass = 3 << 13;
  ::syscall(SYS_ioprio_set, kOfThread, 0, kIdleClass);
#endif
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kLowestPriority);
}

// The directory of a log beneath the root, and the attempt; unset for what is not of that form: runtimes say the path.
struct LogPlace {
  std::string directory;
  int attempt;
};
std::optional<LogPlace> PlaceOf(const cri::v1::ContainerStatus& status, const std::string& root) {
  const std::string& path = status.log_path();
  const std::size_t slash = path.rfind('/');
  if (!path.starts_with(root + "/") || path.find("/../") != std::string::npos) return std::nullopt;
  const auto name = decide::ParseLogFileName(std::string_view(path).substr(slash + 1));
  if (!name || name->kind != decide::LogFileName::Kind::kLive) return std::nullopt;
  return LogPlace{.directory = path.substr(0, slash), .attempt = name->attempt};
}

}  // namespace

// One look at a directory, and what is left for the loop to do.
struct LogRotator::Pass {
  std::string directory;
  decide::LogDirectory input;
  decide::LogLimits limits;
  WallTime now;
  std::shared_ptr<std::atomic<bool>> stop;
  std::optional<decide::RenameLog> set_aside;
  bool reopen = false;
  std::vector<std::string> compress;

  // Blocks.
  Status Run() {
    auto files = ListLogFiles(directory);
    if (!files) return files.error();
    input.files = std::move(*files);
    decide::LogPlan plan = decide::PlanLogRotation(input, limits, now);
    for (const decide::LogStep& step : plan.steps) {
      const auto done = CarryOut(directory, step, *stop);
      if (!done) return done.error();
      const auto* rename = std::get_if<decide::RenameLog>(&step);
      if (rename && decide::ParseLogFileName(rename->from)->kind == decide::LogFileName::Kind::kLive) {
        set_aside = *rename;
      }
      reopen |= std::holds_alternative<decide::ReopenLog>(step);
    }
    compress = std::move(plan.compress);
    return Ok();
  }
};

struct LogRotator::Looks {
  struct One {
    std::string directory;
    std::string path;
    Result<std::int64_t> size = std::int64_t{0};
  };
  std::vector<One> all;
};

LogRotator::LogRotator(PodServices& services, LogRotationSettings settings, Observer observer)
    : services_(services),
      settings_(settings),
      observer_(std::move(observer)),
      wake_(services.executor),
      scope_(services.executor),
      slots_(services.executor, std::max(1, settings.workers)) {}

LogRotator::~LogRotator() { *stop_ = true; }

void LogRotator::Change(const LogRotationSettings& settings) {
  settings_.limits = settings.limits;
  settings_.interval = settings.interval;
  for (auto& [directory, container] : containers_) {
    container.next_look = {};
    container.tidy_at = MonoTime();
  }
  wake_.Notify();
}

Task<void> LogRotator::Run() {
  async::TaskScope look(services_.executor);
  look.Spawn("log sizes", LookForEver());
  co_await look.HoldUntilCancelled();
  *stop_ = true;
  scope_.Cancel();
  co_await scope_.Join();
}

Task<void> LogRotator::LookForEver() {
  for (;;) {
    if (services_.view.connected()) {  // while the runtime is away nobody writes, and nobody would open a file anew
      Collect();
      co_await Look();
    }
    const MonoTime earliest = services_.timeline.mono() + kShortestLook;
    co_await wake_.WaitUntil(services_.timeline, NextLook());
    co_await services_.timeline.SleepUntil(earliest);  // changes come in crowds when many pods start
  }
}

void LogRotator::Collect() {
  std::map<std::string, Container> present;
  for (const auto& [uid, pod] : services_.view.pods()) {
    for (const decide::ObservedContainer& observed : pod.containers) {
      const auto place = PlaceOf(observed.status, services_.directories.log_root);
      if (!place) continue;
      Container& container = present[place->directory];
      container.recorded.insert(place->attempt);
      if (observed.status.state() != cri::v1::CONTAINER_RUNNING || place->attempt < container.running) continue;
      container.running = place->attempt;
      container.running_id = observed.status.id();
    }
  }
  const MonoTime now = services_.timeline.mono();
  for (auto& [directory, container] : present) {
    const auto known = containers_.find(directory);
    const bool same = known != containers_.end() && known->second.running_id == container.running_id &&
                      known->second.recorded == container.recorded;
    if (same) {
      container = std::move(known->second);
      continue;
    }
    container.tidy_at = now;
    container.next_look = now;
    if (known == containers_.end()) continue;
    container.busy = known->second.busy;
    container.compressing = std::move(known->second.compressing);
  }
  containers_ = std::move(present);
}

std::string LogRotator::PathOf(const std::string& directory, const Container& container) const {
  return directory + "/" + decide::ToString(decide::LogFileName{.attempt = container.running});
}

LogRotator::Container* LogRotator::Find(const std::string& directory) {
  const auto found = containers_.find(directory);
  return found == containers_.end() ? nullptr : &found->second;
}

MonoTime LogRotator::NextLook() const {
  MonoTime next = services_.timeline.mono() + settings_.interval;
  for (const auto& [directory, container] : containers_) {
    if (container.busy) continue;
    if (container.tidy_at) next = std::min(next, *container.tidy_at);
    if (!container.running_id.empty()) next = std::min(next, container.next_look);
  }
  return next;
}

// Those that are due soon are looked at with those that are due, so that the process sleeps the longer.
Task<void> LogRotator::Look() {
  const MonoTime due = services_.timeline.mono() + settings_.interval / 10;
  auto looks = std::make_shared<Looks>();
  bool any = false;
  for (auto& [directory, container] : containers_) {
    if (container.busy) continue;
    if (container.tidy_at && *container.tidy_at <= services_.timeline.mono()) {
      container.busy = true;
      scope_.Spawn("logs of " + directory, Tidy(directory));
      continue;
    }
    if (container.running_id.empty() || container.next_look > due) continue;
    any |= container.next_look <= services_.timeline.mono();
    looks->all.push_back({.directory = directory, .path = PathOf(directory, container)});
  }
  if (!any) co_return;
  std::function<Status()> look = [looks] {
    for (Looks::One& one : looks->all) one.size = LogSize(one.path);
    return Ok();
  };
  if (!co_await services_.blocking.Run(std::move(look))) co_return;
  const MonoTime now = services_.timeline.mono();
  for (const Looks::One& one : looks->all) {
    Container* container = Find(one.directory);
    if (container && !container->busy && PathOf(one.directory, *container) == one.path) {
      Judge(one.directory, *container, one.size, now);
    }
  }
}

void LogRotator::Judge(const std::string& directory, Container& container, const Result<std::int64_t>& size,
                       MonoTime now) {
  container.next_look = now + settings_.interval;
  const bool missing = !size && size.error().kind() == ErrorKind::kAbsent;
  if (!size && !missing) return;
  if (size) {
    const bool first = container.size < 0;
    container.elapsed = now - container.looked_at;
    container.grown = first ? 0 : *size - container.size;
    container.size = *size;
    container.looked_at = now;
    container.next_look =
        now + (first ? std::min(kSecondLook, settings_.interval)
                     : decide::NextLogLook(*size - container.grown, *size, container.elapsed, settings_.limits.max_size,
                                           kShortestLook, settings_.interval));
  }
  if (!missing && *size <= settings_.limits.max_size) return;
  container.busy = true;
  scope_.Spawn("logs of " + directory, Tidy(directory));
}

// Goes on to its end when the agent stops: between the rename and the runtime's answer is no place to be left.
Task<void> LogRotator::Tidy(std::string directory) {
  co_await async::kDeafToCancellation;
  Container* container = Find(directory);
  if (!container) co_return;
  auto pass = std::make_shared<Pass>();
  pass->directory = directory;
  pass->limits = settings_.limits;
  pass->stop = stop_;
  pass->now = services_.timeline.Read().wall;
  pass->input.recorded = container->recorded;
  pass->input.compressing = container->compressing;
  const std::string id = container->running_id;
  if (!id.empty()) pass->input.running = container->running;
  std::function<Status()> run = [pass] { return pass->Run(); };
  Status outcome = co_await services_.blocking.Run(std::move(run));
  if (outcome && pass->reopen) outcome = co_await Reopen(pass, id);
  Finish(directory, *pass, outcome);
}

Task<Status> LogRotator::Reopen(std::shared_ptr<Pass> pass, std::string container_id) {
  const Status reopened = co_await services_.runtime.ReopenContainerLog(std::move(container_id),
                                                                        services_.settings.runtime_request_timeout);
  if (reopened || !pass->set_aside) co_return reopened;
  // A runtime that did it after all has made the file: then it stays.
  std::function<Status()> undo = [pass] {
    return RenameLogFile(pass->directory + "/" + pass->set_aside->to, pass->directory + "/" + pass->set_aside->from);
  };
  const Status undone = co_await services_.blocking.Run(std::move(undo));
  if (!undone && undone.error().kind() != ErrorKind::kExists && undone.error().kind() != ErrorKind::kAbsent) {
    log::Warning("a log that was set aside cannot get its name back", {{"err", undone.error().message()}});
  }
  co_return reopened;
}

void LogRotator::Finish(const std::string& directory, const Pass& pass, const Status& outcome) {
  wake_.Notify();
  const MonoTime now = services_.timeline.mono();
  Container* container = Find(directory);
  const bool gone = !container || (!outcome && outcome.error().kind() == ErrorKind::kAbsent);
  if (!gone && !outcome) {
    observer_(false);
    if (!container->failing) {
      log::Warning("a container's log cannot be rotated",
                   {{"directory", directory}, {"err", outcome.error().message()}});
    }
  }
  if (outcome && pass.set_aside) {
    observer_(true);
    log::Debug("log rotated", {{"directory", directory}, {"file", pass.set_aside->to}});
  }
  if (!container) return;
  container->busy = false;
  container->failing = !outcome;
  container->tidy_at.reset();
  if (!outcome) {
    container->tidy_at = now + settings_.interval;
    container->next_look = now + settings_.interval;
    return;
  }
  if (pass.set_aside) {
    container->size = 0;
    container->looked_at = now;
    container->next_look = now + decide::NextLogLook(-container->grown, 0, container->elapsed,
                                                     settings_.limits.max_size, kShortestLook, settings_.interval);
  }
  if (pass.compress.empty() || !container->compressing.empty()) return;
  container->compressing = pass.compress.front();
  scope_.Spawn("compression in " + directory, Compress(directory, container->compressing));
}

Task<void> LogRotator::Compress(std::string directory, std::string name) {
  const async::Semaphore::Permit permit = co_await slots_.Acquire();
  co_await async::kDeafToCancellation;
  if (!pool_) pool_.emplace(settings_.workers);
  auto outcome = std::make_shared<StepOutcome>(StepOutcome::kDone);
  std::function<Status()> compress = [directory, name, outcome, stop = stop_,
                                      alone = settings_.workers > 0]() -> Status {
    if (alone) LowerPriority();
    for (const decide::LogStep& step : decide::CompressionSteps(name)) {
      const auto done = CarryOut(directory, step, *stop);
      if (!done) return done.error();
      *outcome = *done;
      if (*outcome != StepOutcome::kDone) break;
    }
    return Ok();
  };
  Status done = co_await pool_->Run(std::move(compress));
  if (done && *outcome == StepOutcome::kDiskFull) {
    // Better the oldest lines than the next ones.
    std::function<Status()> free = [directory, name]() -> Status {
      const auto files = ListLogFiles(directory);
      if (!files) return files.error();
      const auto oldest = decide::FreeForCompression(*files, name);
      if (!oldest) return Error(ErrorKind::kRetry, "the disk is full; " + name + " stays as it is");
      DAEMONSETD_RETURN_IF_ERROR(RemoveLogFile(directory + "/" + *oldest));
      return Error(ErrorKind::kRetry, "the disk is full; " + *oldest + " is removed");
    };
    done = co_await services_.blocking.Run(std::move(free));
  }
  const bool gone = !done && done.error().kind() == ErrorKind::kAbsent;
  if (!done && !gone) {
    observer_(false);
    log::Warning("a container's log cannot be compressed", {{"directory", directory}, {"err", done.error().message()}});
  }
  wake_.Notify();
  Container* container = Find(directory);
  if (!container) co_return;
  container->compressing.clear();
  const bool again = done && *outcome == StepOutcome::kDone;
  const MonoTime when = services_.timeline.mono() + (again ? Nanoseconds::zero() : settings_.interval);
  container->tidy_at = container->tidy_at ? std::min(*container->tidy_at, when) : when;
}

}  // namespace daemonsetd::pods
