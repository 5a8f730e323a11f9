#include "agent/pods/network_gate.h"

#include <utility>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

// A network that works seldom breaks, and RunPodSandbox says so too; one that is missing is wanted as soon as it comes.
constexpr Nanoseconds kBelieveGood = std::chrono::seconds(10);
constexpr Nanoseconds kBelieveBad = std::chrono::seconds(1);

// The kubelet's words (pkg/kubelet/runtime.go), empty when the network is ready or the runtime does not speak of it.
std::string ProblemOf(const cri::v1::StatusResponse& response) {
  for (const auto& condition : response.status().conditions()) {
    if (condition.type() != "NetworkReady" || condition.status()) continue;
    return fmt::format("container runtime network not ready: NetworkReady=false reason:{} message:{}",
                       condition.reason(), condition.message());
  }
  return {};
}

}  // namespace

NetworkGate::NetworkGate(async::Executor executor, async::Timeline& timeline, cri::Runtime& runtime,
                         Nanoseconds call_timeout)
    : timeline_(timeline), runtime_(runtime), call_timeout_(call_timeout), asking_(std::move(executor), 1) {}

Task<void> NetworkGate::Await(Refused on_refused) {
  std::string told;
  for (;;) {
    co_await Ask();
    if (problem_.empty()) co_return;
    if (problem_ != told) on_refused(problem_);
    told = problem_;
    co_await timeline_.SleepUntil(fresh_until_);
  }
}

Task<void> NetworkGate::Ask() {
  const async::Semaphore::Permit turn = co_await asking_.Acquire();
  if (timeline_.mono() < fresh_until_) co_return;
  const auto answer = co_await runtime_.Status(false, call_timeout_);
  problem_ = answer ? ProblemOf(*answer) : std::string();
  fresh_until_ = timeline_.mono() + (problem_.empty() ? kBelieveGood : kBelieveBad);
}

}  // namespace daemonsetd::pods
