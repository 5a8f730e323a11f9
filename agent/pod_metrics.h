// How pods and their containers fare: the kubelet's kubelet_pod_*, kubelet_started_* and prober_probe_total under our
// name. Nothing here is labelled with a pod: a node that replaces pods for years would collect series of pods that are
// gone. What a single pod does is in its Events, its status and the snapshot's gauges, which end with it.
#pragma once

#include "agent/local/metrics.h"
#include "agent/pods/pod_observer.h"

namespace daemonsetd {

class PodMetrics final : public pods::PodObserver {
 public:
  // `registry` must outlive it.
  explicit PodMetrics(local::Registry& registry);

  void PodStarted(bool succeeded) override;
  void ContainerStarted(std::string_view type, std::string_view reason, bool again) override;
  void PodRuns(Nanoseconds whole, Nanoseconds own) override;
  void WorkerOperation(std::string_view type, Nanoseconds took) override;
  void Probed(std::string_view type, std::string_view result) override;
  void PermitCame(Nanoseconds waited) override;
  void OrphanFound() override;
  void AdmissionRefused(std::string_view reason) override;

 private:
  local::Counter& started_pods_;
  local::Counter& started_pods_errors_;
  local::Family<local::Counter>& started_containers_;
  local::Family<local::Counter>& started_containers_errors_;
  local::Family<local::Counter>& restarted_containers_;
  local::Histogram& pod_start_;
  local::Histogram& pod_start_own_;
  local::Family<local::Histogram>& worker_;
  local::Family<local::Counter>& probes_;
  local::Histogram& permit_wait_;
  local::Counter& orphans_;
  local::Family<local::Counter>& refusals_;
};

}  // namespace daemonsetd
