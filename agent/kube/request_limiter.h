// How often the agent may ask the API server, and who goes first (design.md section 6): the lease before the status of
// unhealthy pods, both before everything else, Events last. Everything on the loop thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <list>
#include <memory>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::kube {

enum class RequestPriority {
  kLease,   // never waits for the rate, only for a server that asks for a pause
  kUrgent,  // the status of unhealthy pods and of the node
  kNormal,
  kEvents,  // a rate of their own besides the common one; dropped when too many wait
};

// The kubelet's defaults (kubeAPIQPS, kubeAPIBurst); its Events share no bucket with the rest either.
struct RequestLimits {
  int per_second = 50;
  int burst = 100;
  int events_per_second = 10;
  int events_burst = 50;
  int events_waiting = 200;
};

// Grants at most `burst` at once and `per_second` in the long run (the generic cell rate algorithm).
class RateBucket {
 public:
  RateBucket(int per_second, int burst)
      : interval_(Nanoseconds(std::chrono::seconds(1)) / per_second), depth_(interval_ * (burst - 1)) {}

  // From when on Take() keeps the rate. Taking earlier is allowed and makes the others wait.
  MonoTime Earliest() const { return full_at_ - depth_; }
  void Take(MonoTime now) { full_at_ = std::max(full_at_, now) + interval_; }

 private:
  Nanoseconds interval_;
  Nanoseconds depth_;
  MonoTime full_at_;
};

class RequestLimiter {
 public:
  // `timeline` must outlive it. Rates and bursts ≥ 1.
  RequestLimiter(async::Executor executor, async::Timeline& timeline, RequestLimits limits);
  RequestLimiter(const RequestLimiter&) = delete;
  RequestLimiter& operator=(const RequestLimiter&) = delete;

  // Ok when the request may go out. kRetry: it may not before `deadline`, or it is an Event and too many wait: nothing
  // was sent. Throws operation_aborted when the calling coroutine is cancelled.
  Task<Status> Acquire(RequestPriority priority, MonoTime deadline);

  // The server asked for a pause (Retry-After): nothing of `priority` and below goes out before `now` + `pause`, which
  // counts for two minutes at most.
  void Pause(RequestPriority priority, Seconds pause);

  // Events that were refused since the start.
  std::uint64_t dropped_events() const { return dropped_events_; }
  int waiting() const { return static_cast<int>(queue_.size()); }

 private:
  static constexpr std::size_t kPriorities = 4;
  struct Waiter;
  class Place;

  MonoTime Earliest(RequestPriority priority) const;
  void Take(RequestPriority priority, MonoTime now);
  void Dispatch();

  async::Executor executor_;
  async::Timeline& timeline_;
  const RequestLimits limits_;
  RateBucket all_;
  RateBucket events_;
  std::array<MonoTime, kPriorities> paused_until_{};
  std::list<Waiter*> queue_;  // in the order of service; each lives in the frame of its Acquire
  int events_waiting_ = 0;
  std::uint64_t dropped_events_ = 0;
  std::unique_ptr<async::Timeline::Alarm> alarm_;
};

}  // namespace daemonsetd::kube
