// Looks into a pod's spec that several rules need.
#pragma once

#include <string>
#include <string_view>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// An init container with restartPolicy Always: runs beside the main containers.
bool IsSidecar(const corev1::Container& init_container);

// The container of that name, init containers included. Null when there is none.
const corev1::Container* FindContainer(const corev1::Pod& pod, std::string_view name);
// The index among the init containers; -1 for others.
int InitIndex(const corev1::Pod& pod, std::string_view name);

// emptyDir.medium of one in memory, a file system of its own.
inline constexpr char kMemoryMedium[] = "Memory";
// Not in memory, so that what is written there takes of the node's disk.
bool IsEmptyDirOnDisk(const corev1::Volume& volume);

// Whether an exited container runs again under the pod's restartPolicy (a sidecar always does).
bool ShouldRestart(const corev1::Pod& pod, const corev1::Container& container, bool is_init, int exit_code);

// The resources that a running container can get anew, as text: "cpu=100m/1,memory=64Mi/". Written on each container.
std::string ResourcesText(const corev1::Container& container);
// Whether a change from that text asks for a restart of the container (resizePolicy). Names the resource; empty: no.
std::string RestartingResource(const corev1::Container& container, std::string_view old_text);

}  // namespace daemonsetd::decide
