// What the runtime can do beyond the rules that all runtimes share, as its Status and Version say.
#pragma once

#include <map>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "cri.pb.h"
#include "cri/cgroups.h"

namespace daemonsetd::cri {

struct RuntimeFeatures {
  struct Handler {
    bool recursive_read_only = false;
    bool user_namespaces = false;
  };
  // By name; "" is the default handler. Empty: the runtime is too old to list them (containerd before 2.0), and then
  // any name may be right and nothing more is known to work.
  std::map<std::string, Handler> handlers;
  bool supplemental_groups_policy = false;
  bool user_namespaces_on_host_network = false;
  CgroupDriver cgroup_driver = CgroupDriver::kUnknown;
  bool image_volumes = false;  // no field of its own: containerd from 2.1, CRI-O from 1.31

  // What is known of the handler; all false when nothing is.
  Handler Find(const std::string& name) const;
};

// To be read each time the runtime connects. Pure.
RuntimeFeatures ReadFeatures(const ::runtime::v1::StatusResponse& status,
                             const ::runtime::v1::VersionResponse& version);

// Refuses what this runtime would ignore or fail at without a clear word. kAbsent: it has no such handler.
// kUnsupported: user namespaces, supplementalGroupsPolicy: Strict, image volumes, recursiveReadOnly: Enabled; the
// message names the field. `handler`: of the pod's RuntimeClass, "" without one.
Status CheckFeatures(const corev1::PodSpec& spec, const std::string& handler, const RuntimeFeatures& features);

}  // namespace daemonsetd::cri
