// Sets the volumes of pods up and takes them down. Blocking work runs on the pool; every call may be repeated, after a
// crash too.
#pragma once

#include <string>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/paths.h"
#include "agent/pods/volumes/container_mounts.h"
#include "cri.pb.h"

namespace daemonsetd::pods {

class Volumes {
 public:
  // `pool` must outlive every call.
  Volumes(Directories directories, async::BlockingPool& pool);

  // Every volume that a container mounts; others are left alone. The error names the volume.
  Task<Status> SetUp(corev1::Pod pod);

  // Unmounts what SetUp and Mounts mounted for this pod, gives its user namespace's IDs back and removes its directory.
  // Whatever else is mounted beneath it is neither unmounted nor entered: then the error (kConflict) names it and
  // nothing at all is removed.
  Task<Status> TearDown(std::string pod_uid);

  // See ContainerMounts.
  Task<Result<std::vector<::runtime::v1::Mount>>> Mounts(corev1::Pod pod, corev1::Container container,
                                                         MountInputs inputs);

 private:
  Directories directories_;
  async::BlockingPool& pool_;
};

// The blocking halves.
Status SetUpVolumes(const Directories& directories, const corev1::Pod& pod);
Status TearDownVolumes(const Directories& directories, const std::string& pod_uid);

}  // namespace daemonsetd::pods
