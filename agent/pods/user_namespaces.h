// Which user and group IDs of the node stand behind the IDs of a pod with a user namespace (pkg/kubelet/userns). Each
// such pod has a range of 65536 of its own, from its first start until its tear-down.
//
//   <pod_root>/user-namespaces/<number>    symbolic link with the UID of the pod that has this range
//
// Making a link is one step that fails when it exists, so the links are the only memory of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/async/blocking_pool.h"
#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/paths.h"
#include "cri/convert.h"

namespace daemonsetd::pods {

struct IdPool {
  std::uint32_t first = 65536;  // on the node, a multiple of 65536: nothing of the node's own is in there
  std::uint32_t ranges = 110;
};

inline constexpr std::uint32_t kIdsPerPod = 65536;

// The pod's range; takes a free one when it has none yet. kRetry when all are taken. Blocks.
Result<cri::IdRange> TakeIds(const Directories& directories, const std::string& pod_uid, const IdPool& pool);
// Fine when the pod has none. Blocks.
Status ReleaseIds(const Directories& directories, const std::string& pod_uid);

// TakeIds on the pool for a pod with hostUsers: false; nothing for others.
Task<Result<std::optional<cri::IdRange>>> UserNamespaceOf(async::BlockingPool* blocking, Directories directories,
                                                          corev1::Pod pod, IdPool pool);

}  // namespace daemonsetd::pods
