// What the containers of our pods use, asked of the runtime when somebody wants to know.
#pragma once

#include "agent/async/timeline.h"
#include "agent/base/result.h"
#include "agent/local/status_json.h"
#include "cri/runtime.h"

namespace daemonsetd {

class UsageMeter {
 public:
  // `timeout`: of each of the two calls.
  UsageMeter(cri::Runtime& runtime, async::Timeline& timeline, Nanoseconds timeout)
      : runtime_(runtime), timeline_(timeline), timeout_(timeout) {}

  // Takes about a second: the time between its two samples (agent/decide/container_usage.h).
  Task<Result<statusv1::UsageList>> Measure();

 private:
  Task<Result<cri::v1::ListContainerStatsResponse>> Sample();

  cri::Runtime& runtime_;
  async::Timeline& timeline_;
  const Nanoseconds timeout_;
};

}  // namespace daemonsetd
