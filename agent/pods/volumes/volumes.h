// Sets the volumes of pods up and takes them down. Blocking work runs on the pool; every call may be repeated, after a
// crash too.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/paths.h"
#include "agent/pods/volumes/atomic_files.h"
#include "agent/pods/volumes/container_mounts.h"
#include "cri.pb.h"

namespace daemonsetd::pods {

// What the volumes made of objects are to hold, by volume. One that is not in here keeps the files that it has.
struct ObjectFiles {
  std::map<std::string, WantedFiles> volumes;
  WallTime now;  // names the directories
};

class Volumes {
 public:
  // `pool` must outlive every call.
  Volumes(Directories directories, async::BlockingPool& pool);

  // Every volume that a container mounts; others are left alone. The error names the volume.
  Task<Status> SetUp(corev1::Pod pod, ObjectFiles objects = {});

  // New files for some volumes made of objects, under running containers. Those that are not set up are left alone.
  Task<Status> Refresh(corev1::Pod pod, ObjectFiles objects);

  // Whether this volume made of objects holds files of an earlier time.
  Task<bool> HasFiles(corev1::Pod pod, std::string volume);

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

// The names of the volumes that some container mounts.
std::set<std::string> MountedVolumes(const corev1::PodSpec& spec);

// The blocking halves.
Status SetUpVolumes(const Directories& directories, const corev1::Pod& pod, const ObjectFiles& objects = {});
Status RefreshVolumes(const Directories& directories, const corev1::Pod& pod, const ObjectFiles& objects);
bool VolumeHasFiles(const Directories& directories, const corev1::Pod& pod, const std::string& volume);
Status TearDownVolumes(const Directories& directories, const std::string& pod_uid);

}  // namespace daemonsetd::pods
