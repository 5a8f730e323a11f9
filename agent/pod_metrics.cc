#include "agent/pod_metrics.h"

#include <string>

namespace daemonsetd {
namespace {

using local::Labels;

// A subset of the kubelet's, so that its dashboards' quantiles carry over.
std::vector<double> StartBounds() { return {0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600}; }
std::vector<double> PermitBounds() { return {1, 5, 15, 60, 300, 900, 3600, 14400}; }

Labels OfType(std::string_view type) { return {{"container_type", std::string(type)}}; }

}  // namespace

PodMetrics::PodMetrics(local::Registry& registry)
    : started_pods_(registry
                        .AddCounters("daemonsetd_started_pods_total",
                                     "Sandboxes of pods that were started, those that could not be among them.")
                        .With({})),
      started_pods_errors_(
          registry.AddCounters("daemonsetd_started_pods_errors_total", "Sandboxes of pods that could not be started.")
              .With({})),
      started_containers_(registry.AddCounters("daemonsetd_started_containers_total",
                                               "Containers that were started, those that could not be among them.")),
      started_containers_errors_(registry.AddCounters("daemonsetd_started_containers_errors_total",
                                                      "Containers that could not be started, by Kubernetes' reason.")),
      restarted_containers_(registry.AddCounters("daemonsetd_restarted_containers_total",
                                                 "Containers that were started in place of one that had ended.")),
      pod_start_(registry
                     .AddHistograms("daemonsetd_pod_start_duration_seconds",
                                    "From the moment that the agent has a pod to start until the pod runs.",
                                    StartBounds())
                     .With({})),
      pod_start_own_(registry
                         .AddHistograms("daemonsetd_pod_start_sli_duration_seconds",
                                        "The same without the pulls of images and the pod's init containers.",
                                        StartBounds())
                         .With({})),
      worker_(registry.AddHistograms(
          "daemonsetd_pod_worker_duration_seconds",
          "How long one operation on a pod took: create (pulls are part of it), update or terminate.",
          local::LatencyBounds())),
      probes_(registry.AddCounters("daemonsetd_prober_probe_total", "Probes of containers, by kind and result.")),
      permit_wait_(registry
                       .AddHistograms("daemonsetd_rollout_permit_wait_seconds",
                                      "How long a pod of an older template waited for its turn in a rolling update.",
                                      PermitBounds())
                       .With({})),
      orphans_(registry
                   .AddCounters("daemonsetd_orphaned_runtime_pods_total",
                                "Pods that only the container runtime knew, taken over to stop them.")
                   .With({})),
      refusals_(registry.AddCounters("daemonsetd_admission_rejections_total",
                                     "Pods that this node has no room for, by reason; each is counted once.")) {
  for (const char* type : {"container", "init_container"}) {
    started_containers_.With(OfType(type));
    restarted_containers_.With(OfType(type));
  }
}

void PodMetrics::PodStarted(bool succeeded) {
  started_pods_.Add();
  if (!succeeded) started_pods_errors_.Add();
}

void PodMetrics::ContainerStarted(std::string_view type, std::string_view reason, bool again) {
  const Labels labels = OfType(type);
  started_containers_.With(labels).Add();
  if (!reason.empty()) {
    started_containers_errors_.With({{"container_type", std::string(type)}, {"code", std::string(reason)}}).Add();
  } else if (again) {
    restarted_containers_.With(labels).Add();
  }
}

void PodMetrics::PodRuns(Nanoseconds whole, Nanoseconds own) {
  pod_start_.Observe(whole);
  pod_start_own_.Observe(own);
}

void PodMetrics::WorkerOperation(std::string_view type, Nanoseconds took) {
  worker_.With({{"operation_type", std::string(type)}}).Observe(took);
}

void PodMetrics::Probed(std::string_view type, std::string_view result) {
  probes_.With({{"probe_type", std::string(type)}, {"result", std::string(result)}}).Add();
}

void PodMetrics::PermitCame(Nanoseconds waited) { permit_wait_.Observe(waited); }

void PodMetrics::OrphanFound() { orphans_.Add(); }

void PodMetrics::AdmissionRefused(std::string_view reason) { refusals_.With({{"reason", std::string(reason)}}).Add(); }

}  // namespace daemonsetd
