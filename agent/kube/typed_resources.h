// Which message belongs to which resource.
#pragma once

#include "agent/kube/client.h"
#include "agent/kube/resource.h"
#include "agent/model/kubernetes.h"
#include "kubernetes/coordination_v1.pb.h"
#include "kubernetes/node_v1.pb.h"
#include "kubernetes/scheduling_v1.pb.h"
#include "kubernetes/storage_v1.pb.h"

namespace daemonsetd::kube {

namespace coordinationv1 = ::k8s::io::api::coordination::v1;
namespace nodev1 = ::k8s::io::api::node::v1;
namespace schedulingv1 = ::k8s::io::api::scheduling::v1;
namespace storagev1 = ::k8s::io::api::storage::v1;

template <>
struct ResourceOf<corev1::ConfigMap> {
  static constexpr Resource kValue = kConfigMaps;
};
template <>
struct ResourceOf<appsv1::ControllerRevision> {
  static constexpr Resource kValue = kControllerRevisions;
};
template <>
struct ResourceOf<storagev1::CSINode> {
  static constexpr Resource kValue = kCsiNodes;
};
template <>
struct ResourceOf<appsv1::DaemonSet> {
  static constexpr Resource kValue = kDaemonSets;
};
template <>
struct ResourceOf<corev1::Event> {
  static constexpr Resource kValue = kEvents;
};
template <>
struct ResourceOf<coordinationv1::Lease> {
  static constexpr Resource kValue = kLeases;
};
template <>
struct ResourceOf<corev1::Namespace> {
  static constexpr Resource kValue = kNamespaces;
};
template <>
struct ResourceOf<corev1::Node> {
  static constexpr Resource kValue = kNodes;
};
template <>
struct ResourceOf<corev1::Pod> {
  static constexpr Resource kValue = kPods;
};
template <>
struct ResourceOf<schedulingv1::PriorityClass> {
  static constexpr Resource kValue = kPriorityClasses;
};
template <>
struct ResourceOf<nodev1::RuntimeClass> {
  static constexpr Resource kValue = kRuntimeClasses;
};
template <>
struct ResourceOf<corev1::Secret> {
  static constexpr Resource kValue = kSecrets;
};
template <>
struct ResourceOf<corev1::ServiceAccount> {
  static constexpr Resource kValue = kServiceAccounts;
};
template <>
struct ResourceOf<corev1::Service> {
  static constexpr Resource kValue = kServices;
};

}  // namespace daemonsetd::kube
