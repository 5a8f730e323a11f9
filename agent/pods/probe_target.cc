#include "agent/pods/probe_target.h"

namespace daemonsetd::pods {

ProbeTarget TargetOf(const PodServices& services, const corev1::Pod& pod, const corev1::Container& container,
                     const std::string& container_id) {
  ProbeTarget target;
  target.container_id = container_id;
  target.pod_name = pod.metadata().name();
  target.namespace_ = pod.metadata().namespace_();
  target.container = container;
  if (pod.spec().hostnetwork()) {
    const std::vector<std::string> addresses = services.host_ips();
    if (!addresses.empty()) target.pod_ip = addresses.front();
  } else if (const decide::ObservedPod* observed = services.view.Find(pod.metadata().uid())) {
    if (const auto* sandbox = observed->newest_sandbox()) target.pod_ip = sandbox->network().ip();
  }
  return target;
}

}  // namespace daemonsetd::pods
