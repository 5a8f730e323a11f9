#include "agent/node/pressure_monitor.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "agent/async/task_scope.h"
#include "agent/async/within_deadline.h"
#include "agent/base/log.h"
#include "agent/node/pressure_stall.h"

namespace daemonsetd::node {
namespace {

// Files of /proc and a statvfs take microseconds, or they hang.
constexpr Nanoseconds kTimeout = std::chrono::seconds(2);
// A kernel that cries all the time is listened to this often.
constexpr Nanoseconds kBetweenStalls = std::chrono::seconds(1);

}  // namespace

PressureMonitor::PressureMonitor(async::Executor executor, async::Timeline& timeline, async::BlockingPool& blocking,
                                 cri::Runtime& image_service, PressureMonitorSettings settings,
                                 std::function<void()> on_look)
    : executor_(executor),
      timeline_(timeline),
      image_service_(image_service),
      settings_(std::move(settings)),
      on_look_(std::move(on_look)),
      calls_(executor, blocking),
      wake_(executor),
      images_trouble_(
          "the container runtime does not say where its images are, so no pressure on their disk is noticed",
          "the container runtime says where its images are"),
      trouble_("the file systems of this machine do not answer, so no pressure on them is noticed",
               "the file systems of this machine answer again") {}

Task<void> PressureMonitor::Run() {
  async::TaskScope scope(executor_);
  scope.Spawn("pressure", LookForEver());
  if (!settings_.stalls.empty()) {
    scope.Spawn("stalls for memory", FollowStalls("memory"));
    scope.Spawn("stalls for the disk", FollowStalls("io"));
  }
  std::exception_ptr stopped;
  try {
    co_await scope.HoldUntilCancelled();
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  co_await calls_.Close();
  if (stopped) std::rethrow_exception(stopped);
}

Task<void> PressureMonitor::LookForEver() {
  for (;;) {
    const MonoTime began = timeline_.mono();
    if (image_root_.empty()) co_await FindImageRoot();
    co_await Look();
    looked_ = true;
    on_look_();
    const MonoTime again = began + (UnderPressure() ? settings_.period_under_pressure : settings_.period);
    bool woken = false;
    while (!woken && timeline_.mono() < again) {
      woken = co_await wake_.WaitUntil(timeline_, std::min(NextChange().value_or(again), again));
      if (!woken && timeline_.mono() < again) on_look_();
    }
  }
}

Task<void> PressureMonitor::FollowStalls(std::string resource) {
  PressureStall stall(executor_, settings_.stalls + "/" + resource);
  if (!stall.works()) log::Debug("the kernel does not tell when processes wait", {{"for", resource}});
  while (stall.works() && co_await stall.Wait()) {
    wake_.Notify();
    co_await timeline_.SleepFor(kBetweenStalls);
  }
}

Task<void> PressureMonitor::FindImageRoot() {
  const auto answer = co_await image_service_.ImageFsInfo(settings_.call_timeout);
  if (!answer) {
    images_trouble_.Tell(answer.error());
    co_return;
  }
  images_trouble_.End();
  if (answer->image_filesystems_size() > 0) image_root_ = answer->image_filesystems(0).fs_id().mountpoint();
}

Task<void> PressureMonitor::Look() {
  PressurePaths paths;
  paths.pod_root = settings_.pod_root;
  paths.image_root = image_root_;
  std::function<decide::PressureSignals()> read = [read = settings_.read, paths = std::move(paths)] {
    return read(paths);
  };
  const MonoTime began = timeline_.mono();
  auto reading = calls_.Run(std::move(read));
  const auto signals = co_await async::WithinDeadline(&timeline_, began + kTimeout, std::move(reading));
  if (!signals) {
    trouble_.Tell(Error(ErrorKind::kTimeout,
                        "the space of " + settings_.pod_root + " could not be read in time; look for a dead mount"));
    co_return;
  }
  trouble_.End();
  reading_ = decide::PressureReading{.signals = *signals, .read_at = began};
  decide::TakeNoteOfPressure(*signals, settings_.thresholds, timeline_.mono(), memory_);
}

bool PressureMonitor::UnderPressure() const {
  return std::any_of(memory_.watches.begin(), memory_.watches.end(),
                     [](const decide::PressureMemory::Watch& watch) { return watch.below_since.has_value(); });
}

void PressureMonitor::Remember(const corev1::NodeStatus& last_written) {
  if (std::exchange(remembered_, true)) return;
  const decide::PressureMemory last = decide::PressureMemoryOf(last_written, timeline_.mono());
  for (const decide::PressureKind& kind : decide::kPressures) {
    if (!(memory_.*kind.last_seen)) memory_.*kind.last_seen = last.*kind.last_seen;
  }
}

std::optional<MonoTime> PressureMonitor::NextChange() const {
  return decide::NextPressureChange(memory_, settings_.thresholds, timeline_.mono());
}

}  // namespace daemonsetd::node
