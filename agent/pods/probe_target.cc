#include "agent/pods/probe_target.h"

namespace daemonsetd::pods {

ProbeTarget TargetOf(const PodServices& services, const corev1::Pod& pod, const corev1::Container& container,
                     const std::string& container_id) {
  ProbeTarget target;
  target.container_id = container_id;
  target.pod_name = pod.metadata().name();
  target.namespace_ = pod.metadata().namespace_();
  target.container = container;
  const decide::ObservedPod* observed = services.view.Find(pod.metadata().uid());
  std::vector<std::string> addresses;
  if (pod.spec().hostnetwork()) {
    addresses = services.host_ips();
  } else if (observed) {
    addresses = observed->sandbox_ips();
  }
  if (!addresses.empty()) target.pod_ip = addresses.front();
  return target;
}

}  // namespace daemonsetd::pods
