// subPath: a part of a volume, found without ever leaving the volume.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace daemonsetd::pods {

// The path of `sub_path` beneath `volume`, free of symbolic links. Missing directories are made with the volume's mode.
// kInvalid: absolute, contains "..", or a symbolic link on the way leads out of the volume. Blocks.
// Between this check and the runtime's bind mount the pod's own containers could still swap a directory for a link;
// that race is not closed here.
Result<std::string> ResolveSubPath(const std::string& volume, const std::string& sub_path);

}  // namespace daemonsetd::pods
