// The environment variables that name Services (pkg/kubelet/envvars, kubelet_pods.go getServiceEnvVarMap). Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// The one Service that every pod gets, whatever its enableServiceLinks says.
inline constexpr char kMasterServiceNamespace[] = "default";
inline constexpr char kMasterService[] = "kubernetes";

// KUBERNETES_SERVICE_HOST and so on, by name. Services without a cluster IP give none. Of two Services of one name the
// later counts; upstream lets the pod's own namespace hide the cluster's.
std::map<std::string, std::string> ServiceVariables(const std::vector<corev1::Service>& services);

}  // namespace daemonsetd::pods
