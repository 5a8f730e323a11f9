#include "agent/async/system_timeline.h"

#include <utility>

#include <boost/asio/steady_timer.hpp>

namespace daemonsetd::async {
namespace {

class SteadyAlarm final : public Timeline::Alarm {
 public:
  SteadyAlarm(const Executor& executor, MonoTime when, std::function<void()> ring)
      : timer_(executor, when), ring_(std::make_shared<std::function<void()>>(std::move(ring))) {
    // A timer that has expired can no longer be cancelled, only its handler can be made harmless.
    timer_.async_wait([alive = std::weak_ptr(ring_)](const boost::system::error_code& error) {
      auto function = alive.lock();
      if (!error && function) (*function)();
    });
  }

 private:
  boost::asio::steady_timer timer_;
  std::shared_ptr<std::function<void()>> ring_;
};

}  // namespace

Now SystemTimeline::Read() const {
  return Now{.mono = std::chrono::steady_clock::now(), .wall = std::chrono::system_clock::now()};
}

std::unique_ptr<Timeline::Alarm> SystemTimeline::SetAlarm(Executor executor, MonoTime when,
                                                          std::function<void()> ring) {
  return std::make_unique<SteadyAlarm>(std::move(executor), when, std::move(ring));
}

}  // namespace daemonsetd::async
