// Since when a pod is ready, on the monotonic clock of whoever asks (RO-03): how long minReadySeconds still take must
// not depend on how two machines' clocks agree. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// What is remembered of one pod.
struct ReadySight {
  bool ready = false;
  std::int64_t transition = 0;  // lastTransitionTime of the Ready condition, seconds on its node's clock
  MonoTime since{};             // of ready; the moment when we knew last that it was not, or an estimate
};

// Notes a look at the pod. `unseen_for`: how long nobody looked, when this is the first look at this pod, or the first
// after a gap: the pod cannot have become ready earlier than that. Unset: nothing is known of the time before, and what
// the pod's own times say is believed.
void NoteReady(const corev1::PodStatus& status, Now now, std::optional<Nanoseconds> unseen_for,
               std::optional<ReadySight>& sight);

// When it is, or was, available; unset: it is not ready.
std::optional<MonoTime> AvailableAt(const std::optional<ReadySight>& sight, std::int32_t min_ready_seconds);

}  // namespace daemonsetd::decide
