// Tells the service manager how the service does: that it serves, reloads and stops, a line of status for people, and,
// while it gets on with its work, that it is alive. Everything on the loop thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/decide/liveness.h"
#include "agent/service/environment.h"
#include "agent/service/notify_socket.h"

namespace daemonsetd::service {

class Reporter {
 public:
  struct Sources {
    std::function<std::string()> status;  // one line
    std::function<std::vector<decide::HealthCheck>()> liveness;
  };

  Reporter(async::Executor executor, async::Timeline& timeline, Environment environment, Sources sources);

  // First. kInvalid: the manager's socket has no address that we can send to.
  Status Open();

  // What the status line tells may have changed.
  void Notify() { wake_.Notify(); }
  // It serves: at the start, and after Reloading().
  void Ready();
  void Reloading();
  // It ends, within `at_most`.
  void Stopping(Nanoseconds at_most);

  // The status line while it changes, and signs of life. Until cancelled.
  Task<void> Run();

 private:
  void Send(std::string message);
  void Deliver();
  void TellStatus();
  void TellAlive();
  bool IsAlive();

  async::Timeline& timeline_;
  const Environment environment_;
  Sources sources_;
  NotifySocket socket_;
  async::Wake wake_;
  std::vector<std::string> undelivered_;  // in their order: the manager had too much to read
  bool ready_ = false;
  std::string told_status_;
  std::string told_stuck_;  // the name of a check; empty while all pass
  MonoTime next_sign_{};    // of life
};

}  // namespace daemonsetd::service
