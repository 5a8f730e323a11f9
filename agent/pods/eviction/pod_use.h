// What pods use of their node, measured when somebody needs to know: the runtime's statistics, files on the disk, and
// /proc. What cannot be found out stays unset.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/trouble.h"
#include "agent/decide/eviction.h"
#include "agent/pods/pod_services.h"

namespace daemonsetd::pods {

// What is asked for: each costs something else.
struct UseWanted {
  bool memory = false;
  bool disk = false;
  bool processes = false;
};

class PodUseMeter {
 public:
  explicit PodUseMeter(PodServices& services, std::string proc = "/proc");

  // By UID, one for each of them.
  Task<std::map<std::string, decide::PodUse>> Measure(std::vector<corev1::Pod> pods, UseWanted wanted);

 private:
  Task<void> AskRuntime(std::map<std::string, decide::PodUse>* uses);
  Task<void> MeasureFiles(const corev1::Pod* pod, decide::PodUse* use);
  Task<void> CountProcesses(std::map<std::string, decide::PodUse>* uses);

  PodServices& services_;
  const std::string proc_;
  Trouble trouble_;
};

}  // namespace daemonsetd::pods
