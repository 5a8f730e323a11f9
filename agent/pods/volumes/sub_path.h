// subPath: a part of a volume, found without ever leaving the volume (pkg/volume/util/subpath).
//
// The pod's own containers can swap a directory of the volume for a symbolic link at any moment, also between a check
// and the runtime's mount. So what was opened is pinned: it is bound to a path of the pod's directory that no container
// of the pod reaches, and the runtime gets that path. The mount table is the only memory of it. All functions block.
#pragma once

#include <string>

#include "agent/base/result.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {

enum class MissingSubPath {
  kMakeDirectories,  // with the volume's mode
  kFail,             // kAbsent: in a volume that only the agent fills a missing name is a mistake (VO-03)
};

// Opens `sub_path` beneath `volume`, as O_PATH. kInvalid: absolute, contains "..", or a symbolic link on the way leads
// out of the volume.
Result<Descriptor> OpenSubPath(const std::string& volume, const std::string& sub_path, MissingSubPath missing);

enum class SubPathMounts {
  kReceive,  // what is mounted beneath the source later appears here
  kShare,    // and what is mounted here appears there: mountPropagation Bidirectional
};

// Makes `target` show `source`, a file or a directory; what an earlier call bound there goes first. Mounts beneath the
// source are not taken along, as in the kubelet. Missing parents of `target` are made. May be repeated after a crash.
Status BindSubPath(const Descriptor& source, const std::string& target, SubPathMounts mounts);

// Unmounts whatever BindSubPath mounted at `target`; fine when nothing is. The source, and what is mounted in it, stay.
Status UnbindSubPath(const std::string& target);

}  // namespace daemonsetd::pods
