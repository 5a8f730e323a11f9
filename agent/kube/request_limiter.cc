#include "agent/kube/request_limiter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::kube {
namespace {

constexpr Seconds kLongestPause = std::chrono::minutes(2);

}  // namespace

struct RequestLimiter::Waiter {
  Waiter(const async::Executor& executor, RequestPriority the_priority) : priority(the_priority), wake(executor) {}
  RequestPriority priority;
  bool granted = false;
  async::Wake wake;
};

// Leaves the queue on every way out of Acquire.
class RequestLimiter::Place {
 public:
  Place(RequestLimiter& limiter, Waiter& waiter) : limiter_(limiter), waiter_(waiter) {
    auto& queue = limiter_.queue_;
    const auto place = std::find_if(queue.begin(), queue.end(),
                                    [&](const Waiter* other) { return other->priority > waiter_.priority; });
    queue.insert(place, &waiter_);
    if (waiter_.priority == RequestPriority::kEvents) ++limiter_.events_waiting_;
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (!waiter_.granted) limiter_.queue_.remove(&waiter_);
    if (waiter_.priority == RequestPriority::kEvents) --limiter_.events_waiting_;
  }

 private:
  RequestLimiter& limiter_;
  Waiter& waiter_;
};

RequestLimiter::RequestLimiter(async::Executor executor, async::Timeline& timeline, RequestLimits limits)
    : executor_(std::move(executor)),
      timeline_(timeline),
      limits_(limits),
      all_(limits.per_second, limits.burst),
      events_(limits.events_per_second, limits.events_burst) {}

MonoTime RequestLimiter::Earliest(RequestPriority priority) const {
  MonoTime earliest = paused_until_[static_cast<std::size_t>(priority)];
  if (priority != RequestPriority::kLease) earliest = std::max(earliest, all_.Earliest());
  if (priority == RequestPriority::kEvents) earliest = std::max(earliest, events_.Earliest());
  return earliest;
}

void RequestLimiter::Take(RequestPriority priority, MonoTime now) {
  all_.Take(now);
  if (priority == RequestPriority::kEvents) events_.Take(now);
}

void RequestLimiter::Dispatch() {
  const MonoTime now = timeline_.mono();
  std::optional<MonoTime> next;
  for (auto at = queue_.begin(); at != queue_.end();) {
    Waiter& waiter = **at;
    const MonoTime earliest = Earliest(waiter.priority);
    if (earliest > now) {
      next = next ? std::min(*next, earliest) : earliest;
      ++at;
      continue;
    }
    Take(waiter.priority, now);
    at = queue_.erase(at);
    waiter.granted = true;
    waiter.wake.Notify();
  }
  alarm_ = next ? timeline_.SetAlarm(executor_, *next, [this] { Dispatch(); }) : nullptr;
}

Task<Status> RequestLimiter::Acquire(RequestPriority priority, MonoTime deadline) {
  // Whoever waits already goes first, if it is as important.
  const bool others =
      std::any_of(queue_.begin(), queue_.end(), [&](const Waiter* other) { return other->priority <= priority; });
  if (!others && Earliest(priority) <= timeline_.mono()) {
    Take(priority, timeline_.mono());
    co_return Ok();
  }
  if (priority == RequestPriority::kEvents && events_waiting_ >= limits_.events_waiting) {
    ++dropped_events_;
    co_return Error(ErrorKind::kRetry,
                    fmt::format("not sent: {} Events wait for the API server already", events_waiting_));
  }
  Waiter waiter(executor_, priority);
  const Place place(*this, waiter);
  Dispatch();
  co_await waiter.wake.WaitUntil(timeline_, deadline);
  if (waiter.granted) co_return Ok();
  co_return Error(ErrorKind::kRetry,
                  "not sent: the limit of requests to the API server, or a pause that it asked for, "
                  "left no room in time");
}

void RequestLimiter::Pause(RequestPriority priority, Seconds pause) {
  const MonoTime until = timeline_.mono() + std::min(pause, kLongestPause);
  for (std::size_t i = static_cast<std::size_t>(priority); i < kPriorities; ++i) {
    paused_until_[i] = std::max(paused_until_[i], until);
  }
}

}  // namespace daemonsetd::kube
