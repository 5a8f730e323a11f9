// The Kubernetes messages under short names. decide/ and model/ work on these; there is no second set of structs.
#pragma once

#include "kubernetes/apps_v1.pb.h"
#include "kubernetes/core_v1.pb.h"
#include "kubernetes/intstr.pb.h"
#include "kubernetes/meta_v1.pb.h"
#include "kubernetes/resource.pb.h"

namespace daemonsetd {

namespace corev1 = ::k8s::io::api::core::v1;
namespace appsv1 = ::k8s::io::api::apps::v1;
namespace metav1 = ::k8s::io::apimachinery::pkg::apis::meta::v1;
namespace resourcev1 = ::k8s::io::apimachinery::pkg::api::resource;
namespace intstrv1 = ::k8s::io::apimachinery::pkg::util::intstr;

}  // namespace daemonsetd
