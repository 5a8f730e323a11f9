// emptyDir: a directory that lives as long as the pod (pkg/volume/emptydir).
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// Size of the tmpfs for medium Memory, in bytes: the smaller of sizeLimit and the pod's memory limit (which only counts
// when every container has one). 0: neither is given, and the kernel's own limit holds, half of the node's memory.
std::int64_t TmpfsSize(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source);

// Bytes of one page for medium HugePages or HugePages-<size>. kInvalid unless the pod requests pages of that size; of
// exactly one size for the first form.
Result<std::int64_t> HugePageSize(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source);

// Makes the directory `path`, and mounts the medium (tmpfs, hugetlbfs) unless it is mounted already. Mode 0777, or the
// volume's; with an fsGroup the group owns it and new files inherit the group. Blocks.
Status PrepareEmptyDir(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source,
                       const std::string& path);

}  // namespace daemonsetd::pods
