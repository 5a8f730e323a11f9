#include "agent/node_shutdown.h"

#include <fmt/format.h>

#include "agent/base/duration.h"
#include "agent/base/log.h"

namespace daemonsetd {
namespace {

// To tell the API server and the disk how the pods ended. Not of the pods' own time.
constexpr Nanoseconds kFlush = std::chrono::seconds(3);

}  // namespace

NodeShutdown::NodeShutdown(pods::PodServices& services, pods::PodWorkers& workers, decide::ShutdownPeriods periods,
                           Hooks hooks)
    : services_(services),
      periods_(periods),
      hooks_(std::move(hooks)),
      logind_(services.executor, services.timeline, [this] { Changed(); }),
      pods_(services, workers),
      wake_(services.executor) {}

Task<void> NodeShutdown::Run() {
  if (periods_.total <= Nanoseconds::zero()) co_return;
  async::TaskScope scope(services_.executor);
  scope.Spawn("logind", logind_.Run());
  scope.Spawn("shutdown of the machine", Obey());
  co_await scope.HoldUntilCancelled();
}

Task<void> NodeShutdown::Obey() {
  for (;;) {
    while (!logind_.preparing()) co_await wake_.Wait();
    hooks_.tell_node(true);
    std::function<bool()> called_off = [this] { return !logind_.preparing(); };
    co_await pods_.Stop(Periods(), std::move(called_off));
    if (logind_.preparing()) co_await hooks_.flush(services_.timeline.mono() + kFlush);
    log::Info("the machine may shut down: this node's pods have stopped");
    logind_.LetGo();
    while (logind_.preparing()) co_await wake_.Wait();
    hooks_.tell_node(false);
    pods_.GoOn();
    logind_.TakeLock();
  }
}

decide::ShutdownPeriods NodeShutdown::Periods() const {
  const auto delay = logind_.longest_delay();
  if (!delay) return periods_;
  return decide::WithinDelay(periods_, std::max(*delay - kFlush, Nanoseconds(*delay / 2)));
}

void NodeShutdown::Changed() {
  wake_.Notify();
  const auto delay = logind_.longest_delay();
  std::string problem;
  if (delay && *delay < periods_.total + kFlush) {
    problem = fmt::format(
        "logind delays a shutdown by {} at most, and shutdownGracePeriod is {}: pods will be stopped within {}; set "
        "InhibitDelayMaxSec={} in /etc/systemd/logind.conf.d/, or shutdownGracePeriod to less",
        FormatDuration(*delay), FormatDuration(periods_.total), FormatDuration(Periods().total),
        std::chrono::ceil<Seconds>(periods_.total + kFlush).count());
  }
  if (problem == problem_) return;
  if (!problem.empty()) log::Warning("shutdowns are too short", {{"err", problem}});
  problem_ = std::move(problem);
  hooks_.on_change();
}

}  // namespace daemonsetd
