// What this node does when its machine goes down: delays it through logind, stops the pods in order, brings what it
// knows to where it is kept, and lets the machine go; or goes on, where the shutdown is called off (LC-30 to LC-36).
#pragma once

#include <functional>
#include <string>

#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/node/logind.h"
#include "agent/pods/pod_shutdown.h"

namespace daemonsetd {

class NodeShutdown {
 public:
  struct Hooks {
    std::function<void(bool shutting_down)> tell_node;  // its condition Ready
    std::function<Task<void>(MonoTime until)> flush;    // statuses and checkpoint
    std::function<void()> on_change;                    // of problem()
  };

  // Zero periods: logind is not asked for anything.
  NodeShutdown(pods::PodServices& services, pods::PodWorkers& workers, decide::ShutdownPeriods periods, Hooks hooks);

  // Until cancelled.
  Task<void> Run();

  // What a person has to change so that the pods get the time they are meant to have; empty while all is well. No word
  // of a machine without logind: nothing could be changed there.
  const std::string& problem() const { return problem_; }

 private:
  Task<void> Obey();
  void Changed();
  decide::ShutdownPeriods Periods() const;

  pods::PodServices& services_;
  const decide::ShutdownPeriods periods_;
  const Hooks hooks_;
  node::Logind logind_;
  pods::PodShutdown pods_;
  async::Wake wake_;
  std::string problem_;
};

}  // namespace daemonsetd
