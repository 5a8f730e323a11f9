// What a pod worker leaves to the next process, and takes over from the last one. Pure.
#pragma once

#include "agent/decide/observed.h"
#include "agent/decide/pod_memory.h"
#include "agent/pods/pod_identity.h"
#include "agent/pods/records.h"

namespace daemonsetd::pods {

// Brings `record` up to date with what is known now; what this version does not know of stays in it.
void UpdateRecord(const corev1::Pod& pod, const PodIdentity& identity, const decide::PodMemory& memory,
                  const decide::ObservedPod& observed, checkpointv1::PodRecord& record);

// How the node ended it, where it did.
std::optional<decide::PodEnd> EndOf(const checkpointv1::PodRecord& record);

// Probe outcomes by container ID, the terminal phase, restart counts that the runtime may have lost (LC-25).
void RestoreMemory(const checkpointv1::PodRecord& record, decide::PodMemory& memory);

}  // namespace daemonsetd::pods
