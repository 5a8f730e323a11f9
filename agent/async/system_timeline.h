// The machine's clocks.
#pragma once

#include "agent/async/timeline.h"

namespace daemonsetd::async {

class SystemTimeline final : public Timeline {
 public:
  Now Read() const override;
  std::unique_ptr<Alarm> SetAlarm(Executor executor, MonoTime when, std::function<void()> ring) override;
};

}  // namespace daemonsetd::async
