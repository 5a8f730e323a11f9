#include "tests/support/fake_timeline.h"

#include <boost/asio/post.hpp>

namespace daemonsetd::testing {

class FakeTimeline::FakeAlarm final : public Alarm {
 public:
  FakeAlarm(FakeTimeline& timeline, Key key, std::shared_ptr<std::function<void()>> ring)
      : timeline_(timeline), key_(key), ring_(std::move(ring)) {}
  ~FakeAlarm() override { timeline_.alarms_.erase(key_); }

 private:
  FakeTimeline& timeline_;
  Key key_;
  std::shared_ptr<std::function<void()>> ring_;  // the posted call holds it weakly
};

std::unique_ptr<async::Timeline::Alarm> FakeTimeline::SetAlarm(async::Executor executor, MonoTime when,
                                                               std::function<void()> ring) {
  const Key key(when, next_id_++);
  auto shared = std::make_shared<std::function<void()>>(std::move(ring));
  alarms_.emplace(key, Entry{.executor = std::move(executor), .ring = shared});
  auto alarm = std::make_unique<FakeAlarm>(*this, key, std::move(shared));
  if (when <= now_.mono) Ring(key);
  return alarm;
}

void FakeTimeline::Advance(Nanoseconds duration) {
  const MonoTime target = now_.mono + duration;
  while (!alarms_.empty() && alarms_.begin()->first.first <= target) AdvanceToNextAlarm();
  MoveTo(target);
  if (settle_) settle_();
}

bool FakeTimeline::AdvanceToNextAlarm() {
  if (alarms_.empty()) return false;
  MoveTo(alarms_.begin()->first.first);
  Ring(alarms_.begin()->first);
  if (settle_) settle_();
  return true;
}

std::optional<MonoTime> FakeTimeline::next_alarm() const {
  if (alarms_.empty()) return std::nullopt;
  return alarms_.begin()->first.first;
}

void FakeTimeline::MoveTo(MonoTime when) {
  if (when <= now_.mono) return;
  now_.wall += when - now_.mono;
  now_.mono = when;
}

void FakeTimeline::Ring(const Key& key) {
  auto node = alarms_.extract(key);
  const Entry& entry = node.mapped();
  boost::asio::post(entry.executor, [ring = std::weak_ptr(entry.ring)] {
    if (auto function = ring.lock()) (*function)();
  });
}

}  // namespace daemonsetd::testing
