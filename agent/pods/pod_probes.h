// Runs the probes of one pod's containers: one loop per container ID and role, each with one probe under way at most.
// What a result means is decided by decide/probe_rules; this only keeps time and asks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/decide/observed.h"
#include "agent/decide/pod_memory.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/probes/probe_result.h"

namespace daemonsetd::pods {

class PodProbes {
 public:
  // The references must outlive it. `on_change` is called on the loop when a result changed what is known.
  PodProbes(PodServices& services, const corev1::Pod& pod, decide::PodMemory& memory, std::function<void()> on_change);

  // Starts the loops that should run now and lets the others end.
  void Sync(const decide::ObservedPod& observed, bool terminating);

  // Cancels every probe and waits for them.
  Task<void> Stop();

 private:
  struct Key {
    std::string container_id;
    decide::ProbeRole role;
    auto operator<=>(const Key&) const = default;
  };
  struct Loop {
    explicit Loop(const async::Executor& executor) : wake(executor) {}
    async::Wake wake;
    bool wanted = true;
  };

  void Begin(const Key& key, const corev1::Container& container, const decide::ObservedContainer& observed);
  Task<void> Run(Key key, corev1::Container container, std::shared_ptr<Loop> loop, MonoTime due);
  void Take(const Key& key, const corev1::Container& container, const ProbeResult& result);

  PodServices& services_;
  const corev1::Pod& pod_;
  decide::PodMemory& memory_;
  std::function<void()> on_change_;
  std::map<Key, std::shared_ptr<Loop>> loops_;
  async::TaskScope scope_;
};

}  // namespace daemonsetd::pods
