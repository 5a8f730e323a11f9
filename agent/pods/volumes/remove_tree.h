// Recursive removal that cannot leave its tree. Blocks.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace daemonsetd::pods {

// Removes `path` and what is beneath it; fine when it does not exist. Symbolic links are removed and never followed.
// A mount point beneath it, bind mounts of the same file system included, is never entered: its content and the way to
// it stay, the rest goes, and the error (kConflict) names it. (VO-05: deletion that walked into a live mount has
// destroyed data.) `path` itself being a mount point is the same error.
// `last`, an entry of `path`, goes after all others and only when they have: what says whose a directory is must
// outlive what it says it of.
Status RemoveTree(const std::string& path, std::string_view last = {});

}  // namespace daemonsetd::pods
