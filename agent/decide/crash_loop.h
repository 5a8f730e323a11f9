// How long a container that ends again and again waits for its next start. The node's limits hold, unless the pod asks
// for others: a network agent that is down for five minutes takes the node's network along (LC-24).
//
//   daemonsetd.dev/crash-loop-back-off-maximum: 30s        the longest wait, 1s to 1h
//   daemonsetd.dev/crash-loop-back-off-reset-after: 5m     a life of this length counts as stable, 1s to 24h
#pragma once

#include <string>
#include <vector>

#include "agent/base/backoff.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

struct CrashLoop {
  BackoffLimits limits;
  // Annotations that cannot be read: each names the annotation, what is wrong and what to write. The node's limit
  // holds.
  std::vector<std::string> problems;
};

CrashLoop CrashLoopOf(const corev1::Pod& pod, const BackoffLimits& node);

}  // namespace daemonsetd::decide
