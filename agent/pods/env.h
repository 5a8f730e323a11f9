// What a container's process is started with: environment, command and args. Pure.
// Rules: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/fieldpath, pkg/api/v1/resource.
// Values are secrets to everybody else: no error and no log line ever carries one.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/decide/resources.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/named_objects.h"

namespace daemonsetd::pods {

// What the downward API tells and the Pod object does not hold yet. The first address of each is the primary one.
struct PodFacts {
  std::vector<std::string> host_ips;
  std::vector<std::string> pod_ips;  // empty on the host network: the host's addresses are the pod's
  decide::ResourceList node_allocatable;
  std::string object_uid;  // of its Pod object, which a token is bound to; empty: the pod's own UID
};

// The objects that a container's environment is made of.
struct EnvSources {
  NamedObjects objects;                   // all that the container names
  std::vector<corev1::Service> services;  // those that the pod is told of (service_links.h)
};

struct EnvVariable {
  std::string name;
  std::string value;
};

struct ProcessSpec {
  // envFrom, then the container's env in its order, then Services; of two with one name the later value wins, except
  // that a Service never hides what the container says.
  std::vector<EnvVariable> envs;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::vector<std::string> skipped;  // sentences for an Event: keys of envFrom that name no variable
};

// `container` is one of the pod's. kAbsent: a ConfigMap, Secret or key that it needs does not exist. kRetry: the pod or
// host address that it asks for is not known yet. kInvalid, kUnsupported: as the message says.
Result<ProcessSpec> MakeProcess(const corev1::Pod& pod, const corev1::Container& container, const PodFacts& facts,
                                const EnvSources& sources);

// The text of one downward API field ("metadata.labels['app']", "status.podIP", ...).
Result<std::string> FieldValue(const corev1::Pod& pod, const std::string& field_path, const PodFacts& facts);
// The text of one container resource ("limits.cpu"), rounded up in units of the divisor.
Result<std::string> ResourceValue(const corev1::Pod& pod, const corev1::Container& container,
                                  const corev1::ResourceFieldSelector& selector, const PodFacts& facts);

// Expands $(VAR) in a subPathExpr. kInvalid, naming the variable, when one is not set: the path would be another one.
Result<std::string> ExpandStrictly(const std::string& text, const std::vector<EnvVariable>& envs);

}  // namespace daemonsetd::pods
