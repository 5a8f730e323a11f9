// What a pod leaves on the node that nobody will come back for. Never anything that is not known to be ours.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace daemonsetd::decide {

// A directory of a pod as it was found.
struct PodDirectory {
  std::string uid;
  bool ours = false;   // it carries our mark
  bool empty = false;  // there is nothing in it: a making or a removal that was cut off
};

// Those to take down: ours, and nobody knows their pod. `known` says whether a pod has a worker, a record or anything
// in the runtime.
std::vector<std::string> OrphanedPods(const std::vector<PodDirectory>& directories,
                                      const std::function<bool(const std::string& uid)>& known);

}  // namespace daemonsetd::decide
