#include "agent/decide/garbage.h"

namespace daemonsetd::decide {

std::vector<std::string> OrphanedPods(const std::vector<PodDirectory>& directories,
                                      const std::function<bool(const std::string& uid)>& known) {
  std::vector<std::string> orphans;
  for (const PodDirectory& directory : directories) {
    if ((directory.ours || directory.empty) && !known(directory.uid)) orphans.push_back(directory.uid);
  }
  return orphans;
}

}  // namespace daemonsetd::decide
