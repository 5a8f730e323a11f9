#include "agent/pods/pod_record.h"

#include <algorithm>

namespace daemonsetd::pods {

void UpdateRecord(const corev1::Pod& pod, const PodIdentity& identity, const decide::PodMemory& memory,
                  const decide::ObservedPod& observed, checkpointv1::PodRecord& record) {
  record.set_uid(pod.metadata().uid());
  record.set_namespace_(pod.metadata().namespace_());
  record.set_name(pod.metadata().name());
  record.set_owner_uid(identity.owner_uid);
  record.set_object_uid(identity.object_uid);
  record.set_from_api_server(identity.from_api_server);
  record.set_terminal_phase(memory.terminal_phase);
  if (memory.end) {
    record.set_end_reason(memory.end->reason);
    record.set_end_message(memory.end->message);
    record.set_end_is_disruption(memory.end->disruption);
  }
  for (const decide::ObservedContainer& container : observed.containers) {
    checkpointv1::ContainerRecord& kept = (*record.mutable_containers())[container.status.metadata().name()];
    const auto count = static_cast<std::int32_t>(decide::RestartCount(container.status));
    if (!kept.last_container_id().empty() && count < kept.restart_count()) continue;
    kept.set_restart_count(count);
    kept.set_last_container_id(container.status.id());
  }
  auto& probes = *record.mutable_probes();
  for (auto probe = probes.begin(); probe != probes.end();) {
    probe = memory.instances.contains(probe->first) ? std::next(probe) : probes.erase(probe);
  }
  for (const auto& [id, instance] : memory.instances) {
    if (!instance.started && !instance.ready && !instance.post_start_pending && !probes.contains(id)) continue;
    checkpointv1::ProbeRecord& kept = probes[id];
    kept.set_started_known(instance.started.has_value());
    kept.set_started(instance.started.value_or(false));
    kept.set_ready_known(instance.ready.has_value());
    kept.set_ready(instance.ready.value_or(false));
    kept.set_post_start_pending(instance.post_start_pending);
  }
}

std::optional<decide::PodEnd> EndOf(const checkpointv1::PodRecord& record) {
  if (record.end_reason().empty()) return std::nullopt;
  return decide::PodEnd{
      .reason = record.end_reason(), .message = record.end_message(), .disruption = record.end_is_disruption()};
}

void RestoreMemory(const checkpointv1::PodRecord& record, decide::PodMemory& memory) {
  memory.terminal_phase = record.terminal_phase();
  memory.end = EndOf(record);
  for (const auto& [name, kept] : record.containers()) {
    if (kept.last_container_id().empty()) continue;
    memory.containers[name].lowest_attempt = static_cast<std::uint32_t>(std::max(kept.restart_count(), 0)) + 1;
  }
  for (const auto& [id, kept] : record.probes()) {
    decide::InstanceMemory& instance = memory.instances[id];
    if (kept.started_known()) instance.started = kept.started();
    if (kept.ready_known()) instance.ready = kept.ready();
    instance.post_start_pending = kept.post_start_pending();
    instance.observed = true;  // by the process that wrote this: gone when the runtime no longer shows it
  }
}

}  // namespace daemonsetd::pods
