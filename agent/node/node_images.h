// The runtime's images as the Node's status lists them, so that a scheduler can tell which nodes have one. Pure.
#pragma once

#include <set>
#include <string>

#include <google/protobuf/repeated_field.h>

#include "agent/model/kubernetes.h"
#include "cri.pb.h"

namespace daemonsetd::node {

// The largest first, at most 50 images of at most 5 names each, digests before tags (as the kubelet does). Images
// without a name are left out. Of more than 50 images those that have one of the `preferred` names are in before any
// other, however small, and of more than 5 names the preferred ones.
google::protobuf::RepeatedPtrField<corev1::ContainerImage> NodeImages(
    const google::protobuf::RepeatedPtrField<::runtime::v1::Image>& images,
    const std::set<std::string>& preferred = {});

}  // namespace daemonsetd::node
