// Brings a node in need back: frees what nobody misses, then evicts pods, one at a time, until there is enough again;
// and evicts pods that use more of the disk than they may. The rules are agent/decide/eviction.h. Everything on the
// loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/wake.h"
#include "agent/base/trouble.h"
#include "agent/decide/eviction.h"
#include "agent/pods/eviction/pod_use.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/pod_workers.h"

namespace daemonsetd::pods {

struct EvictorSettings {
  decide::PressureThresholds thresholds;
  Seconds most_grace{0};                                 // evictionMaxPodGracePeriod
  Nanoseconds limits_period = std::chrono::seconds(10);  // between two looks at what pods with limits use
  Nanoseconds patience = std::chrono::seconds(30);       // with a pod that is to go
  Nanoseconds retry = std::chrono::seconds(10);          // where nothing could be done
};

class Evictor {
 public:
  struct Ports {
    PodServices& services;
    PodWorkers& workers;
    // The pressure, which somebody else keeps an eye on; `look` brings a new reading.
    std::function<std::optional<decide::PressureReading>()> reading;
    std::function<const decide::PressureMemory&()> memory;
    std::function<Task<void>()> look;
    std::function<Task<Result<std::uint64_t>>()> remove_unused_images;
    // Of a pod that was evicted: the kubelet's name for why.
    std::function<void(const std::string& signal)> on_evicted = [](const std::string&) {};
  };

  Evictor(Ports ports, EvictorSettings settings);

  // Until cancelled.
  Task<void> Run();
  // There is a new reading.
  void Notify() { wake_.Notify(); }

 private:
  void TellConditions();
  // True: it did something, so that readings from before say nothing any more.
  Task<bool> EnforceLimits();
  Task<bool> RelievePressure();
  Task<void> FreeDisk();
  std::vector<decide::EvictionCandidate> Candidates() const;
  Task<void> MeasureUse(std::vector<decide::EvictionCandidate>* candidates, UseWanted wanted);
  Task<bool> Evict(std::string uid, Seconds grace, std::string signal, decide::PodEnd end);
  std::optional<decide::MetThreshold> Met() const;
  void TellNeed(const decide::MetThreshold& met);
  bool OneDisk() const;
  void Record(const std::string& reason, const std::string& message, EventType type);

  Ports ports_;
  const EvictorSettings settings_;
  PodUseMeter meter_;
  async::Wake wake_;
  std::vector<bool> told_;  // which conditions hold, as last told; in the order of decide::kPressures
  MonoTime limits_due_{};
  std::optional<MonoTime> acted_at_;                   // what was read before is out of date
  std::optional<MonoTime> quiet_until_;                // nothing could be done
  std::optional<decide::EvictionSignal> told_signal_;  // what it is low on, as logged
  bool told_helpless_ = false;                         // that nothing can be done about it
  Trouble images_trouble_;
};

}  // namespace daemonsetd::pods
