#include "agent/pods/pod_shutdown.h"

#include <algorithm>

#include "agent/base/log.h"

namespace daemonsetd::pods {
namespace {

constexpr char kReason[] = "the node is shutting down";
constexpr Nanoseconds kPoll = std::chrono::milliseconds(50);

}  // namespace

Task<void> PodShutdown::Stop(decide::ShutdownPeriods periods, std::function<bool()> called_off) {
  workers_.StartNothing(kReason);
  const std::vector<decide::ShutdownGroup> groups = Order();
  const MonoTime began = services_.timeline.mono();
  for (std::size_t index = 0; index < groups.size(); ++index) {
    const decide::ShutdownGroup& group = groups[index];
    const MonoTime deadline = decide::GroupDeadline(groups, index, periods, began, services_.timeline.mono());
    StopGroup(group, deadline);
    while (!AtRest(group) && services_.timeline.mono() < deadline) {
      if (called_off()) co_return;
      co_await services_.timeline.SleepFor(kPoll);
    }
    if (!AtRest(group)) {
      log::Warning("pods do not stop in time for the shutdown", {{"pods", std::to_string(group.uids.size())}});
    }
  }
}

void PodShutdown::GoOn() { workers_.GoOn(); }

std::vector<decide::ShutdownGroup> PodShutdown::Order() const {
  std::vector<decide::ShutdownPod> pods;
  for (const auto& [uid, worker] : workers_.all()) {
    if (worker->terminating() || workers_.HasEnded(uid)) continue;  // they stop already
    const PodIdentity& identity = worker->identity();
    pods.push_back(decide::ShutdownPodOf(worker->pod(), !identity.from_api_server, !identity.daemon_set_uid().empty()));
  }
  return decide::ShutdownOrder(std::move(pods));
}

void PodShutdown::StopGroup(const decide::ShutdownGroup& group, MonoTime deadline) {
  const auto share = std::chrono::floor<Seconds>(deadline - services_.timeline.mono());
  for (const std::string& uid : group.uids) {
    PodWorker* worker = workers_.Find(uid);
    if (worker == nullptr) continue;
    const Seconds grace(worker->pod().spec().terminationgraceperiodseconds());
    worker->Rest(std::clamp(share, Seconds::zero(), grace));
  }
}

bool PodShutdown::AtRest(const decide::ShutdownGroup& group) const {
  return std::all_of(group.uids.begin(), group.uids.end(), [this](const std::string& uid) {
    const PodWorker* worker = workers_.Find(uid);
    return worker == nullptr || workers_.HasEnded(uid) || worker->at_rest();
  });
}

}  // namespace daemonsetd::pods
