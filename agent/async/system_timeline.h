// The machine's clocks.
#pragma once

#include "agent/async/timeline.h"

namespace daemonsetd::async {

class SystemTimeline final : public Timeline {
 public:
  Now Read() const override;
  Task<void> SleepUntil(MonoTime when) override;
};

}  // namespace daemonsetd::async
