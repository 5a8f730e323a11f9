// How probes and hooks introduce themselves. Not with our own name: users' servers and ingress rules look for the
// kubelet's "kube-probe/", to leave probes out of logs and authentication.
#pragma once

#include <string_view>

namespace daemonsetd::pods {

constexpr std::string_view kProbeUserAgent = "kube-probe/1.37";
constexpr std::string_view kHookUserAgent = "kube-lifecycle/1.37";

}  // namespace daemonsetd::pods
