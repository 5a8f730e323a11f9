// Which sysctls a pod may set (pkg/kubelet/sysctl). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// `allowed_unsafe`: exact names, or beginnings with a "*" at their end; in either spelling ("kernel.msgmax",
// "kernel/msgmax"). kDenied, naming the sysctl, for the first one that is neither safe nor allowed
// (reason SysctlForbidden).
Status CheckSysctls(const corev1::PodSpec& spec, const std::vector<std::string>& allowed_unsafe);

// Empty, or why the pattern cannot be allowed: only sysctls with a namespace of their own can differ between pods.
std::string CheckSysctlPattern(std::string_view pattern);

}  // namespace daemonsetd::decide
