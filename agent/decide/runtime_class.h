// RuntimeClasses of the node's own configuration. Pure.
#pragma once

#include <map>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/model/quantity.h"

namespace daemonsetd::decide {

struct RuntimeClass {
  std::string handler;  // the runtime's name for it
  std::map<std::string, model::Quantity> overhead;
};
using RuntimeClasses = std::map<std::string, RuntimeClass>;  // by name

// The handler for RunPodSandbox; "" for a pod that names no class. kAbsent, naming the class and the key, when it is
// not configured.
Result<std::string> FindRuntimeHandler(const corev1::PodSpec& spec, const RuntimeClasses& classes);

// Sets spec.overhead of a pod that has none, as the API server's admission does from the class.
void SetOverhead(corev1::PodSpec& spec, const RuntimeClasses& classes);

}  // namespace daemonsetd::decide
