// The mounts of one container, as CRI wants them (pkg/kubelet/kubelet_pods.go, makeMounts).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/env.h"
#include "agent/pods/paths.h"
#include "cri.pb.h"

namespace daemonsetd::pods {

struct MountInputs {
  std::string token;                 // of the termination message file: the attempt number
  std::vector<EnvVariable> envs;     // for subPathExpr
  bool mount_hosts_file = true;      // the pod's etc-hosts was written
  bool recursive_read_only = false;  // the runtime can do it
  // Of image volumes that the container mounts: what the image puller answered, by volume name.
  std::map<std::string, ::runtime::v1::ImageSpec> images;
};

// Volume mounts in order, then /etc/hosts unless the container mounts something there itself, then the termination
// message file (MakeContainerFiles made it). The pod's volumes must be set up. Blocks: subPaths are looked up anew and
// bound inside the pod's directory (sub_path.h), so call it before each start of the container and not while it runs.
Result<std::vector<::runtime::v1::Mount>> ContainerMounts(const Directories& directories, const corev1::Pod& pod,
                                                          const corev1::Container& container,
                                                          const MountInputs& inputs);

// The image volumes that the container mounts; their images must be here before ContainerMounts is called.
std::vector<const corev1::Volume*> ImageVolumes(const corev1::PodSpec& spec, const corev1::Container& container);

}  // namespace daemonsetd::pods
