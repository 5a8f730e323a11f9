// Tells of pods that hold a socket of the host which was replaced since (volumes/replaced_sockets.h), and replaces
// those that ask for it by the annotation daemonsetd.dev/restart-on-replaced-socket: "true" on the pod template.
#pragma once

#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "agent/async/wake.h"
#include "agent/pods/pod_workers.h"
#include "agent/pods/volumes/replaced_sockets.h"

namespace daemonsetd::pods {

// Stops the pod namespace/name so that another takes its place; answers the names of the pods that stop.
using RestartPodFunction = std::function<Result<std::vector<std::string>>(const std::string&, const std::string&)>;

class SocketWatch {
 public:
  using IsReplacedFunction = std::function<bool(const MountedSocket&)>;

  // `on_change` is called on the loop when count() changed. `is_replaced` may block.
  SocketWatch(PodServices& services, PodWorkers& workers, RestartPodFunction restart, Nanoseconds period,
              std::function<void()> on_change, IsReplacedFunction is_replaced = IsReplaced);

  // Looks once a period (zero: never by itself) and at each Notify(), until cancelled.
  Task<void> Run();
  void Notify() { wake_.Notify(); }
  void set_period(Nanoseconds period) { period_ = period; }

  // Sockets that are mounted and stale now, one for each container that holds one.
  std::size_t count() const { return told_.size(); }

 private:
  Task<void> Look();
  void Tell(const MountedSocket& socket);

  PodServices& services_;
  PodWorkers& workers_;
  RestartPodFunction restart_;
  Nanoseconds period_;
  std::function<void()> on_change_;
  IsReplacedFunction is_replaced_;
  async::Wake wake_;
  std::set<std::pair<std::string, std::string>> told_;  // container ID, path
};

}  // namespace daemonsetd::pods
