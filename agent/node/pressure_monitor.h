// The one who knows how much memory, disk and how many PIDs are left, and which pressure that is: looks every few
// seconds, more often while there is pressure, and at once when the kernel says that processes wait. The rules are
// agent/decide/pressure.h. Everything on the loop thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/async/blocking_calls.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/trouble.h"
#include "agent/decide/pressure.h"
#include "agent/node/pressure.h"
#include "cri/runtime.h"

namespace daemonsetd::node {

struct PressureMonitorSettings {
  std::string pod_root;
  decide::PressureThresholds thresholds;
  Nanoseconds period = std::chrono::seconds(10);  // between two looks
  Nanoseconds period_under_pressure = std::chrono::seconds(2);
  Nanoseconds call_timeout = std::chrono::seconds(10);  // of a question to the runtime
  std::string stalls = "/proc/pressure";                // empty: not asked
  // Runs on the blocking pool.
  std::function<decide::PressureSignals(const PressurePaths&)> read = ReadPressure;
};

class PressureMonitor {
 public:
  // The references must outlive it. `on_look` is called on the loop after each look of Run, and when a condition ends.
  PressureMonitor(async::Executor executor, async::Timeline& timeline, async::BlockingPool& blocking,
                  cri::Runtime& image_service, PressureMonitorSettings settings, std::function<void()> on_look);

  // Looks until cancelled.
  Task<void> Run();
  // Looks once more, for who has freed something. While Run does.
  Task<void> Look();

  // The first look is over, whatever it found.
  bool looked() const { return looked_; }
  // A pressure that an earlier life reported holds on for its transition period. The first call counts.
  void Remember(const corev1::NodeStatus& last_written);

  const decide::PressureThresholds& thresholds() const { return settings_.thresholds; }
  const decide::PressureMemory& memory() const { return memory_; }
  // The last one that succeeded; unset: there was none yet.
  const std::optional<decide::PressureReading>& reading() const { return reading_; }
  // When a condition ends by itself; unset: none holds.
  std::optional<MonoTime> NextChange() const;

 private:
  Task<void> LookForEver();
  Task<void> FindImageRoot();
  Task<void> FollowStalls(std::string resource);
  bool UnderPressure() const;

  async::Executor executor_;
  async::Timeline& timeline_;
  cri::Runtime& image_service_;
  const PressureMonitorSettings settings_;
  const std::function<void()> on_look_;
  async::BlockingCalls calls_;
  async::Wake wake_;
  decide::PressureMemory memory_;
  std::optional<decide::PressureReading> reading_;
  std::string image_root_;  // empty: not known yet
  bool remembered_ = false;
  bool looked_ = false;
  Trouble images_trouble_;
  Trouble trouble_;
};

}  // namespace daemonsetd::node
