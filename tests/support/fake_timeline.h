// A clock that only the test moves.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "agent/async/timeline.h"

namespace daemonsetd::testing {

class FakeTimeline final : public async::Timeline {
 public:
  Now Read() const override { return now_; }
  std::unique_ptr<Alarm> SetAlarm(async::Executor executor, MonoTime when, std::function<void()> ring) override;

  // Moves both clocks, stopping at each alarm on the way: it rings, and `settle` runs what that woke.
  void Advance(Nanoseconds duration);
  // Moves to the earliest alarm and rings it. False when none is armed.
  bool AdvanceToNextAlarm();
  // Only the wall clock, as an administrator or NTP does.
  void JumpWall(Nanoseconds by) { now_.wall += by; }

  std::optional<MonoTime> next_alarm() const;
  std::size_t alarms() const { return alarms_.size(); }

  // Called after each ring: runs the loop until nothing is runnable (TestLoop sets it).
  void set_settle(std::function<void()> settle) { settle_ = std::move(settle); }

 private:
  class FakeAlarm;
  using Key = std::pair<MonoTime, std::uint64_t>;  // alarms of the same moment ring in the order they were set
  struct Entry {
    async::Executor executor;
    std::shared_ptr<std::function<void()>> ring;
  };

  void MoveTo(MonoTime when);
  void Ring(const Key& key);

  // Not the epoch, so that a zero moment is never mistaken for now. Wall: 2026-01-02T03:04:05Z.
  Now now_{.mono = MonoTime(std::chrono::hours(100)), .wall = WallTime(std::chrono::seconds(1767323045))};
  std::map<Key, Entry> alarms_;
  std::uint64_t next_id_ = 0;
  std::function<void()> settle_;
};

}  // namespace daemonsetd::testing
