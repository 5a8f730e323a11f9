// A canonical text of a Kubernetes message: equal for messages that mean the same, and the same in every version of
// the agent. The input of hashes, and the way to compare templates.
#pragma once

#include <string>

#include <google/protobuf/message.h>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// Fields in number order, map keys sorted, quantities in canonical form, unknown fields left out. A field that is unset
// and one that holds its type's zero are the same, and so are an unset and an empty message, except where Kubernetes
// tells them apart (runAsUser: 0 is not "no user"); so a field that joins the schema and is unset changes no text.
std::string CanonicalText(const google::protobuf::Message& message);

// Clears what API defaulting fills in, so that a template reads the same before and after it. The set is frozen:
// adding a default for a field that older agents did know changes hashes, that is, restarts pods. A new field and its
// default must be added together.
void ClearDefaults(corev1::PodSpec& spec);
void ClearDefaults(corev1::Container& container);

}  // namespace daemonsetd::decide
