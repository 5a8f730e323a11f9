#include "agent/usage.h"

#include <utility>

#include "agent/decide/container_usage.h"

namespace daemonsetd {
namespace {

constexpr Nanoseconds kBetweenSamples = std::chrono::seconds(1);
constexpr char kAsking[] = "cannot ask the container runtime what containers use";

}  // namespace

Task<Result<cri::v1::ListContainerStatsResponse>> UsageMeter::Sample() {
  co_return co_await runtime_.ListContainerStats(decide::OurContainers(), timeout_);
}

Task<Result<statusv1::UsageList>> UsageMeter::Measure() {
  const MonoTime first_at = timeline_.mono();
  const auto first = co_await Sample();
  if (!first) co_return first.error().WithContext(kAsking);
  co_await timeline_.SleepFor(kBetweenSamples);
  const MonoTime second_at = timeline_.mono();
  const auto second = co_await Sample();
  if (!second) co_return second.error().WithContext(kAsking);
  statusv1::UsageList list = decide::UsageBetween(*first, *second);
  list.set_window(FormatDuration(second_at - first_at));
  co_return list;
}

}  // namespace daemonsetd
