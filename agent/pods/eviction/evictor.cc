#include "agent/pods/eviction/evictor.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/decide/critical_pod.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::pods {
namespace {

using decide::EvictionCandidate;
using decide::MetThreshold;
using decide::NameOf;

constexpr Nanoseconds kPoll = std::chrono::milliseconds(100);
// Of the time, at most, goes into walks through what pods wrote: one part in so many.
constexpr int kWalkShare = 20;
constexpr Seconds kAtOnce{1};

bool IsRunning(const decide::ObservedPod* observed) {
  return observed != nullptr &&
         std::any_of(observed->containers.begin(), observed->containers.end(),
                     [](const auto& container) { return container.status.state() == cri::v1::CONTAINER_RUNNING; });
}

UseWanted WantedFor(decide::EvictionSignal signal) {
  if (signal == decide::EvictionSignal::kMemory) return {.memory = true};
  if (signal == decide::EvictionSignal::kPids) return {.processes = true};
  return {.disk = true};
}

}  // namespace

Evictor::Evictor(Ports ports, EvictorSettings settings)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      meter_(ports_.services),
      wake_(ports_.services.executor),
      told_(std::size(decide::kPressures)),
      images_trouble_("images that nothing needs cannot be removed", "images that nothing needs are removed again") {}

Task<void> Evictor::Run() {
  async::Timeline& timeline = ports_.services.timeline;
  for (;;) {
    TellConditions();
    bool acted = co_await EnforceLimits();
    if (!acted) acted = co_await RelievePressure();
    if (acted) {
      acted_at_ = timeline.mono();
      co_await ports_.look();
      continue;
    }
    co_await wake_.WaitUntil(timeline, limits_due_);
  }
}

void Evictor::Record(const std::string& reason, const std::string& message, EventType type) {
  ports_.services.events.Record(decide::ReferenceTo(ports_.services.node()), type, reason, message);
}

// As a kubelet does when it writes them.
void Evictor::TellConditions() {
  const MonoTime now = ports_.services.timeline.mono();
  for (std::size_t i = 0; i < told_.size(); ++i) {
    const decide::PressureKind& kind = decide::kPressures[i];
    const bool holds = decide::Holds(ports_.memory().*kind.last_seen, settings_.thresholds, now);
    if (holds == told_[i]) continue;
    told_[i] = holds;
    std::string reason = holds ? kind.reason_true : kind.reason_false;
    reason.replace(0, std::string_view("Kubelet").size(), "Node");
    Record(reason, fmt::format("Node {} status is now: {}", ports_.services.node().metadata().name(), reason),
           EventType::kNormal);
  }
}

bool Evictor::OneDisk() const {
  const auto reading = ports_.reading();
  return reading && reading->signals.one_disk.value_or(false);
}

std::vector<EvictionCandidate> Evictor::Candidates() const {
  std::vector<EvictionCandidate> candidates;
  for (const auto& [uid, worker] : ports_.workers.all()) {
    if (worker->terminating() || worker->terminal() || ports_.workers.HasEnded(uid)) continue;
    if (!IsRunning(ports_.services.view.Find(uid))) continue;
    const PodIdentity& identity = worker->identity();
    candidates.push_back(
        {.pod = &worker->pod(), .is_static = !identity.from_api_server && identity.daemon_set_uid().empty()});
  }
  return candidates;
}

// Pods may come and go meanwhile: those that are left have their use.
Task<void> Evictor::MeasureUse(std::vector<EvictionCandidate>* candidates, UseWanted wanted) {
  std::vector<corev1::Pod> pods;
  pods.reserve(candidates->size());
  for (const EvictionCandidate& candidate : *candidates) pods.push_back(*candidate.pod);
  const auto uses = co_await meter_.Measure(std::move(pods), wanted);
  *candidates = Candidates();
  for (EvictionCandidate& candidate : *candidates) {
    const auto use = uses.find(candidate.pod->metadata().uid());
    if (use != uses.end()) candidate.use = use->second;
  }
}

Task<bool> Evictor::EnforceLimits() {
  async::Timeline& timeline = ports_.services.timeline;
  const MonoTime began = timeline.mono();
  if (began < limits_due_) co_return false;
  limits_due_ = began + settings_.limits_period;
  std::vector<EvictionCandidate> candidates = Candidates();
  std::erase_if(candidates, [](const EvictionCandidate& one) {
    return !decide::LimitsItsDisk(*one.pod) || decide::IsCriticalPod(*one.pod, one.is_static);
  });
  if (candidates.empty()) co_return false;
  co_await MeasureUse(&candidates, {.disk = true});
  limits_due_ = std::max(limits_due_, began + kWalkShare * (timeline.mono() - began));
  struct Offender {
    std::string uid;
    decide::ExceededLimit exceeded;
  };
  std::vector<Offender> offenders;
  for (const EvictionCandidate& candidate : candidates) {
    if (decide::IsCriticalPod(*candidate.pod, candidate.is_static)) continue;
    if (auto exceeded = decide::FindExceededLimit(*candidate.pod, candidate.use, OneDisk())) {
      offenders.push_back({.uid = candidate.pod->metadata().uid(), .exceeded = std::move(*exceeded)});
    }
  }
  bool acted = false;
  for (const Offender& offender : offenders) {
    decide::PodEnd end{.reason = decide::kEvictedReason, .message = offender.exceeded.message};
    acted |= co_await Evict(offender.uid, kAtOnce, offender.exceeded.signal, std::move(end));
  }
  co_return acted;
}

// What asks for something by a reading that is newer than what was done last.
std::optional<MetThreshold> Evictor::Met() const {
  const auto reading = ports_.reading();
  if (!reading || (acted_at_ && reading->read_at < *acted_at_)) return std::nullopt;
  const auto met = decide::MostPressing(reading->signals, settings_.thresholds, ports_.memory());
  // Whose files are on the disk that is full cannot be told before it is known which disk the images are on.
  const bool about_disk = met && !WantedFor(met->signal).memory && !WantedFor(met->signal).processes;
  return about_disk && !reading->signals.one_disk ? std::nullopt : met;
}

Task<bool> Evictor::RelievePressure() {
  const MonoTime now = ports_.services.timeline.mono();
  std::optional<MetThreshold> met = Met();
  if (!met) {
    told_signal_.reset();
    told_helpless_ = false;
  }
  if (!met || (quiet_until_ && now < *quiet_until_)) co_return false;
  TellNeed(*met);
  if (decide::NodeCanReclaim(met->signal, OneDisk())) {
    co_await FreeDisk();
    acted_at_ = ports_.services.timeline.mono();
    co_await ports_.look();
    met = Met();
    if (!met) co_return true;
  }
  std::vector<EvictionCandidate> candidates = Candidates();
  co_await MeasureUse(&candidates, WantedFor(met->signal));
  for (const std::size_t index : decide::EvictionOrder(met->signal, OneDisk(), candidates)) {
    const EvictionCandidate& candidate = candidates[index];
    decide::PodEnd end{.reason = decide::kEvictedReason,
                       .message = decide::EvictionMessage(*met, *candidate.pod, candidate.use),
                       .disruption = true};
    const Seconds grace = decide::EvictionGrace(*met, settings_.most_grace, *candidate.pod);
    const std::string uid = candidate.pod->metadata().uid();
    if (co_await Evict(uid, grace, std::string(decide::NameOf(met->signal)), std::move(end))) co_return true;
  }
  if (!std::exchange(told_helpless_, true)) {
    log::Warning("no pod can be evicted, so the node stays low on a resource; look for what else uses it",
                 {{"signal", decide::NameOf(met->signal)}});
  }
  quiet_until_ = ports_.services.timeline.mono() + settings_.retry;
  co_return false;
}

// The Event each time, which counts; a line once for each need.
void Evictor::TellNeed(const MetThreshold& met) {
  const std::string_view resource = decide::ResourceOf(met.signal);
  Record(decide::kThresholdMetReason, fmt::format("Attempting to reclaim {}", resource), EventType::kWarning);
  if (told_signal_ == met.signal) return;
  told_signal_ = met.signal;
  log::Warning("the node is low on a resource and has to reclaim some", {{"resource", resource},
                                                                         {"signal", decide::NameOf(met.signal)},
                                                                         {"threshold", met.quantity},
                                                                         {"available", met.available}});
}

Task<void> Evictor::FreeDisk() {
  for (const auto& [uid, worker] : ports_.workers.all()) worker->SpareDisk();
  const auto freed = co_await ports_.remove_unused_images();
  if (freed) {
    images_trouble_.End();
  } else {
    images_trouble_.Tell(freed.error());
  }
}

Task<bool> Evictor::Evict(std::string uid, Seconds grace, std::string signal, decide::PodEnd end) {
  PodServices& services = ports_.services;
  PodWorker* worker = ports_.workers.Find(uid);
  if (worker == nullptr || worker->terminating() || worker->terminal()) co_return false;
  const std::string name = NameOf(worker->pod());
  log::Warning("evicting a pod", {{"pod", name},
                                  {"uid", uid},
                                  {"priority", decide::PriorityOf(worker->pod().spec())},
                                  {"signal", signal},
                                  {"grace", FormatDuration(grace)},
                                  {"reason", end.message}});
  services.events.Record(decide::ReferenceTo(worker->pod()), EventType::kWarning, decide::kEvictedReason, end.message);
  worker->Evict(grace, std::move(end));
  ports_.on_evicted(signal);
  const MonoTime give_up = services.timeline.mono() + grace + settings_.patience;
  while (ports_.workers.Find(uid) != nullptr && !ports_.workers.HasEnded(uid) && services.timeline.mono() < give_up) {
    co_await services.timeline.SleepFor(kPoll);
  }
  if (services.timeline.mono() >= give_up) log::Warning("an evicted pod does not go in time", {{"pod", name}});
  co_return true;
}

}  // namespace daemonsetd::pods
