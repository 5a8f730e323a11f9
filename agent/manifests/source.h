// The directory of static manifests: DaemonSet and Pod files, read at start and on every inotify event.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/async/task.h"
#include "agent/model/codec.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::manifests {

// One object with the file that it came from. Defaulted and validated; namespace filled in; UID derived from kind,
// namespace and name, so that a restart finds the same pods.
struct StaticDaemonSet {
  std::string file;
  appsv1::DaemonSet object;
};
struct StaticPod {
  std::string file;
  corev1::Pod object;  // spec.nodeName set, name suffixed with the node's name as the kubelet does
};

// A complete picture of the directory. A file that does not parse keeps its last good objects here.
struct Snapshot {
  std::vector<StaticDaemonSet> daemon_sets;
  std::vector<StaticPod> pods;
  std::vector<model::DecodeError> errors;  // of the files as they are now, all at once
  bool complete = false;                   // false until the directory was read once: delete nothing before
};

}  // namespace daemonsetd::manifests
