// RuntimeClasses of the node's own configuration and of the API server. Pure.
//
// Of an object's `scheduling` nothing is read here: the API server's admission merges it into the pods that it is
// given, and upstream's DaemonSet controller does not look at it in placement either.
#pragma once

#include <map>
#include <string>

#include "agent/base/error.h"
#include "agent/model/kubernetes.h"
#include "agent/model/quantity.h"
#include "kubernetes/node_v1.pb.h"

namespace daemonsetd {

namespace nodev1 = ::k8s::io::api::node::v1;

namespace decide {

struct RuntimeClass {
  std::string handler;  // the runtime's name for it
  std::map<std::string, model::Quantity> overhead;
};
using RuntimeClasses = std::map<std::string, RuntimeClass>;  // by name

RuntimeClass RuntimeClassOf(const nodev1::RuntimeClass& object);

// What the configuration says of the class that the pod names. Null: it names none, or one that is not configured and
// that only the API server may know.
const RuntimeClass* FindConfigured(const corev1::PodSpec& spec, const RuntimeClasses& classes);

// `absent`, which names the class, with both ways to have it. For a class that is nowhere.
Error MissingRuntimeClass(const Error& absent);

// Sets spec.overhead of a pod that has none, as the API server's admission does from the class.
void SetOverhead(corev1::PodSpec& spec, const RuntimeClass& runtime_class);
void SetOverhead(corev1::PodSpec& spec, const RuntimeClasses& classes);

}  // namespace decide
}  // namespace daemonsetd
