// Pods with a network of their own wait until the runtime says that its network works; pods on the host's network,
// among them the one that sets the network up, do not (as the kubelet's canRunPod).
#pragma once

#include <functional>
#include <string>

#include "agent/async/semaphore.h"
#include "agent/async/timeline.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

class NetworkGate {
 public:
  using Refused = std::function<void(const std::string& message)>;

  // The references must outlive it. `call_timeout` bounds one question.
  NetworkGate(async::Executor executor, async::Timeline& timeline, cri::Runtime& runtime, Nanoseconds call_timeout);

  // Ends when the network is ready. `on_refused` is told each new reason why it is not. A runtime that does not answer
  // is not asked again: the call that comes next says more. Throws operation_aborted when cancelled.
  Task<void> Await(Refused on_refused);

  // The runtime's last word; empty when its network was ready, or nobody asked yet.
  const std::string& problem() const { return problem_; }

 private:
  Task<void> Ask();

  async::Timeline& timeline_;
  cri::Runtime& runtime_;
  const Nanoseconds call_timeout_;
  async::Semaphore asking_;  // one question serves all who wait
  std::string problem_;
  MonoTime fresh_until_;
};

}  // namespace daemonsetd::pods
