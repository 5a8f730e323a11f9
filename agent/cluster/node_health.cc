#include "agent/cluster/node_health.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "agent/async/within_deadline.h"
#include "agent/node/node_images.h"

namespace daemonsetd::cluster {
namespace {

// Files of /proc and a statvfs take microseconds, or they hang.
constexpr Nanoseconds kPressureTimeout = std::chrono::seconds(2);

}  // namespace

NodeHealth::NodeHealth(async::Executor executor, async::Timeline& timeline, async::BlockingPool& blocking,
                       cri::Runtime& runtime, cri::Runtime& image_service, NodeHealthSettings settings,
                       std::function<void()> on_look)
    : timeline_(timeline),
      runtime_(runtime),
      image_service_(image_service),
      settings_(std::move(settings)),
      on_look_(std::move(on_look)),
      calls_(std::move(executor), blocking),
      runtime_trouble_("the container runtime does not tell its state", "the container runtime tells its state again"),
      images_trouble_("the container runtime does not tell of its images, so the Node's status may be out of date",
                      "the container runtime tells of its images again"),
      pressure_trouble_("the file systems of this machine do not answer, so no pressure on them is noticed",
                        "the file systems of this machine answer again") {
  runtime_health_.asked_since = timeline_.mono();
}

Task<void> NodeHealth::Run() {
  runtime_health_.asked_since = timeline_.mono();
  std::exception_ptr stopped;
  try {
    for (;;) {
      const MonoTime began = timeline_.mono();
      if (image_root_.empty()) co_await FindImageRoot();
      co_await ReadPressure();
      co_await AskRuntime();
      looked_ = true;
      on_look_();
      co_await timeline_.SleepUntil(began + settings_.period);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  co_await calls_.Close();
  std::rethrow_exception(stopped);
}

Task<void> NodeHealth::AskRuntime() {
  const auto answer = co_await runtime_.Status(false, settings_.call_timeout);
  if (!answer) {
    runtime_trouble_.Tell(answer.error());
    co_return;
  }
  runtime_trouble_.End();
  runtime_health_.answered_at = timeline_.mono();
  runtime_health_.runtime.reset();
  runtime_health_.network.reset();
  for (const auto& condition : answer->status().conditions()) {
    const decide::RuntimeCondition said{
        .ready = condition.status(), .reason = condition.reason(), .message = condition.message()};
    if (condition.type() == "RuntimeReady") runtime_health_.runtime = said;
    if (condition.type() == "NetworkReady") runtime_health_.network = said;
  }
}

Task<void> NodeHealth::FindImageRoot() {
  const auto answer = co_await image_service_.ImageFsInfo(settings_.call_timeout);
  if (!answer) {
    images_trouble_.Tell(answer.error());
    co_return;
  }
  images_trouble_.End();
  if (answer->image_filesystems_size() > 0) image_root_ = answer->image_filesystems(0).fs_id().mountpoint();
}

Task<void> NodeHealth::ReadPressure() {
  node::PressurePaths paths;
  paths.pod_root = settings_.pod_root;
  paths.image_root = image_root_;
  std::function<decide::PressureSignals()> read = [read = settings_.read_pressure, paths = std::move(paths)] {
    return read(paths);
  };
  const MonoTime deadline = timeline_.mono() + kPressureTimeout;
  auto reading = calls_.Run(std::move(read));
  const auto signals = co_await async::WithinDeadline(&timeline_, deadline, std::move(reading));
  if (!signals) {
    pressure_trouble_.Tell(Error(ErrorKind::kTimeout, "the space of " + settings_.pod_root +
                                                          " could not be read in time; look for a dead mount"));
    co_return;
  }
  pressure_trouble_.End();
  decide::TakeNoteOfPressure(*signals, settings_.thresholds, timeline_.mono(), pressure_);
}

void NodeHealth::Remember(const corev1::NodeStatus& last_written) {
  if (std::exchange(remembered_, true)) return;
  const decide::PressureMemory last = decide::PressureMemoryOf(last_written, timeline_.mono());
  if (!pressure_.memory) pressure_.memory = last.memory;
  if (!pressure_.disk) pressure_.disk = last.disk;
  if (!pressure_.pids) pressure_.pids = last.pids;
}

std::vector<corev1::NodeCondition> NodeHealth::Conditions(const corev1::NodeStatus& last_written) const {
  const Now now = timeline_.Read();
  const auto problems = decide::ReadinessProblems(runtime_health_, shutting_down_, now.mono);
  return decide::NodeConditions(problems, pressure_, settings_.thresholds, last_written, now);
}

std::optional<MonoTime> NodeHealth::NextChange() const {
  const MonoTime now = timeline_.mono();
  std::optional<MonoTime> next = decide::NextPressureChange(pressure_, settings_.thresholds, now);
  const MonoTime down = runtime_health_.answered_at.value_or(runtime_health_.asked_since) + decide::kRuntimePatience;
  if (down > now) next = std::min(next.value_or(down), down);
  return next;
}

Task<std::optional<NodeHealth::Images>> NodeHealth::ListImages(std::set<std::string> preferred) {
  const auto answer = co_await image_service_.ListImages({}, settings_.call_timeout);
  if (!answer) {
    images_trouble_.Tell(answer.error());
    co_return std::nullopt;
  }
  images_trouble_.End();
  co_return node::NodeImages(answer->images(), preferred);
}

}  // namespace daemonsetd::cluster
