#include "agent/decide/pressure.h"

#include <algorithm>
#include <array>

#include "agent/decide/conditions.h"

namespace daemonsetd::decide {
namespace {

struct SignalField {
  std::optional<Amount> PressureSignals::* field;
  const PressureKind* kind;
};
// In the order of EvictionSignal.
constexpr std::array<SignalField, kEvictionSignalCount> kFields{{
    {&PressureSignals::memory, &kPressures[0]},
    {&PressureSignals::pod_disk, &kPressures[1]},
    {&PressureSignals::image_disk, &kPressures[1]},
    {&PressureSignals::pod_disk_inodes, &kPressures[1]},
    {&PressureSignals::image_disk_inodes, &kPressures[1]},
    {&PressureSignals::pids, &kPressures[2]},
}};
const SignalField& FieldOf(EvictionSignal signal) { return kFields.at(static_cast<std::size_t>(signal)); }

}  // namespace

const std::optional<Amount>& SignalOf(const PressureSignals& signals, EvictionSignal signal) {
  return signals.*FieldOf(signal).field;
}

const PressureKind& KindOf(EvictionSignal signal) { return *FieldOf(signal).kind; }

std::vector<WatchedThreshold> PressureThresholds::HardDefaults() {
  std::vector<WatchedThreshold> watched;
  for (const EvictionSignalName& signal : kEvictionSignals) {
    if (signal.default_hard.empty()) continue;
    watched.push_back({.signal = signal.signal, .least = ParseEvictionThreshold(signal.default_hard).value()});
  }
  return watched;
}

PressureMemory PressureMemoryOf(const corev1::NodeStatus& last_written, MonoTime now) {
  PressureMemory memory;
  for (const PressureKind& kind : kPressures) {
    const corev1::NodeCondition* condition = FindCondition(last_written, kind.type);
    if (condition != nullptr && condition->status() == "True") memory.*kind.last_seen = now;
  }
  return memory;
}

void TakeNoteOfPressure(const PressureSignals& signals, const PressureThresholds& thresholds, MonoTime now,
                        PressureMemory& memory) {
  memory.watches.resize(thresholds.watched.size());
  for (std::size_t i = 0; i < thresholds.watched.size(); ++i) {
    const WatchedThreshold& threshold = thresholds.watched[i];
    PressureMemory::Watch& watch = memory.watches[i];
    const std::optional<Amount>& amount = SignalOf(signals, threshold.signal);
    watch.known = amount && amount->capacity > 0;
    if (!watch.known) continue;
    std::uint64_t least = ThresholdAmount(threshold.least, amount->capacity);
    if (least > 0 && watch.met) least += ThresholdAmount(threshold.minimum_reclaim, amount->capacity);
    if (amount->available >= least) {
      watch = {.known = true};
      continue;
    }
    if (!watch.below_since) watch.below_since = now;
    watch.met |= now - *watch.below_since >= threshold.grace.value_or(Nanoseconds::zero());
    memory.*KindOf(threshold.signal).last_seen = now;
  }
}

bool Holds(const std::optional<MonoTime>& last_seen, const PressureThresholds& thresholds, MonoTime now) {
  return last_seen && now - *last_seen < thresholds.transition_period;
}

std::optional<MonoTime> NextPressureChange(const PressureMemory& memory, const PressureThresholds& thresholds,
                                           MonoTime now) {
  std::optional<MonoTime> next;
  for (const PressureKind& kind : kPressures) {
    const std::optional<MonoTime>& last_seen = memory.*kind.last_seen;
    if (!Holds(last_seen, thresholds, now)) continue;
    const MonoTime end = *last_seen + thresholds.transition_period;
    if (!next || end < *next) next = end;
  }
  return next;
}

std::optional<MetThreshold> MostPressing(const PressureSignals& signals, const PressureThresholds& thresholds,
                                         const PressureMemory& memory) {
  std::optional<MetThreshold> most;
  for (std::size_t i = 0; i < thresholds.watched.size() && i < memory.watches.size(); ++i) {
    const WatchedThreshold& threshold = thresholds.watched[i];
    const std::optional<Amount>& amount = SignalOf(signals, threshold.signal);
    if (!memory.watches[i].met || !memory.watches[i].known || !amount) continue;
    const MetThreshold met{.signal = threshold.signal,
                           .hard = !threshold.grace,
                           .quantity = ThresholdAmount(threshold.least, amount->capacity),
                           .available = amount->available};
    const bool first = !most || met.signal < most->signal || (met.signal == most->signal && met.hard && !most->hard);
    if (first) most = met;
  }
  return most;
}

}  // namespace daemonsetd::decide
