#include "agent/cluster/write_queue.h"

#include <algorithm>

#include <utility>

#include "agent/base/log.h"
#include "agent/base/trouble.h"

namespace daemonsetd::cluster {
namespace {

// Somebody else wrote meanwhile: the watch brings what they wrote, and the next try rests on it.
constexpr BackoffLimits kAfterConflict{.initial = std::chrono::milliseconds(200), .maximum = kSettle};
// The server is away: its return is heard of, so that the wait need not grow long.
constexpr BackoffLimits kUnreachable{.initial = std::chrono::milliseconds(500), .maximum = std::chrono::seconds(10)};

constexpr Nanoseconds kForgotten = std::chrono::minutes(10);

}  // namespace

WriteQueue::WriteQueue(async::Executor executor, async::Timeline& timeline, std::function<void()> on_change)
    : timeline_(timeline), on_change_(std::move(on_change)), scope_(executor) {}

void WriteQueue::Ask(const std::string& key, const std::string& what, Nanoseconds settle, const Write& write) {
  DropOld();
  Entry& entry = entries_[key];
  if (entry.under_way || timeline_.mono() < entry.not_before) return;
  entry.under_way = true;
  // A write that is cancelled before its first step ends without Perform having run.
  std::function<void()> on_end = [this, key] { entries_[key].under_way = false; };
  scope_.Spawn(what, Perform(key, what, settle, write()), std::move(on_end));
}

Task<void> WriteQueue::Perform(std::string key, std::string what, Nanoseconds settle, Task<Status> write) {
  const Status status = co_await std::move(write);
  Ended(key, what, settle, status);
}

void WriteQueue::Ended(const std::string& key, const std::string& what, Nanoseconds settle, const Status& status) {
  Entry& entry = entries_.at(key);
  entry.under_way = false;
  const MonoTime now = timeline_.mono();
  const bool conflicted = std::exchange(entry.conflict, !status && status.error().kind() == ErrorKind::kConflict);
  if (status || status.error().kind() == ErrorKind::kAbsent) {
    entry.backoff = Backoff(kWriteRetry);
    entry.not_before = now + (status ? settle : kSettle);
    entry.error.clear();
  } else if (entry.conflict) {
    if (!conflicted) entry.backoff = Backoff(kAfterConflict);
    entry.not_before = entry.backoff.Fail(now);
  } else {
    if (conflicted) entry.backoff = Backoff(kWriteRetry);
    if (entry.error.empty() && IsPassing(status.error())) entry.backoff = Backoff(kUnreachable);
    entry.not_before = entry.backoff.Fail(now);
    if (entry.error != status.error().message()) {
      log::Warning("the API server did not take a write; trying again",
                   {{"write", what}, {"err", status.error().message()}});
    }
    entry.error = status.error().message();
  }
  on_change_();
}

bool WriteQueue::IsUnderWay(const std::string& key) const {
  const auto entry = entries_.find(key);
  return entry != entries_.end() && entry->second.under_way;
}

bool WriteQueue::AnyUnderWay() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) { return entry.second.under_way; });
}

std::string WriteQueue::ErrorOf(const std::string& key) const {
  const auto entry = entries_.find(key);
  return entry == entries_.end() ? std::string() : entry->second.error;
}

std::optional<MonoTime> WriteQueue::NextTry() const {
  std::optional<MonoTime> next;
  for (const auto& [key, entry] : entries_) {
    if (entry.under_way || entry.not_before <= timeline_.mono()) continue;
    if (!next || entry.not_before < *next) next = entry.not_before;
  }
  return next;
}

// What nobody asked for again does not stay: a deletion is asked for under the version of the object.
void WriteQueue::DropOld() {
  std::erase_if(entries_, [now = timeline_.mono()](const auto& entry) {
    return !entry.second.under_way && entry.second.not_before + kForgotten < now;
  });
}

Task<void> WriteQueue::Close() {
  scope_.Cancel();
  co_await scope_.Join();
}

}  // namespace daemonsetd::cluster
