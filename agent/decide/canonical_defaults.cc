#include <string>

#include "agent/decide/canonical.h"
#include "agent/model/names.h"
#include "agent/model/quantity.h"

namespace daemonsetd::decide {
namespace {

constexpr std::int32_t kFileMode = 0644;
constexpr std::int64_t kGraceSeconds = 30;
constexpr std::int64_t kTokenSeconds = 3600;
constexpr std::int32_t kCertificateSeconds = 86400;

std::string DefaultPullPolicy(const std::string& image) {
  return model::ImageTagIsLatest(image) ? "Always" : "IfNotPresent";
}

void ClearHttpGet(corev1::HTTPGetAction& action) {
  if (action.path() == "/") action.clear_path();
  if (action.scheme() == "HTTP") action.clear_scheme();
}

void ClearProbe(corev1::Probe& probe) {
  if (probe.timeoutseconds() == 1) probe.clear_timeoutseconds();
  if (probe.periodseconds() == 10) probe.clear_periodseconds();
  if (probe.successthreshold() == 1) probe.clear_successthreshold();
  if (probe.failurethreshold() == 3) probe.clear_failurethreshold();
  if (probe.handler().has_httpget()) ClearHttpGet(*probe.mutable_handler()->mutable_httpget());
}

void ClearHandler(corev1::LifecycleHandler& handler) {
  if (handler.has_httpget()) ClearHttpGet(*handler.mutable_httpget());
}

void ClearFieldRef(corev1::ObjectFieldSelector& selector) {
  if (selector.apiversion() == "v1") selector.clear_apiversion();
}

void ClearResourceFieldRef(corev1::ResourceFieldSelector& selector) {
  if (model::Quantity::From(selector.divisor()).IsZero()) selector.clear_divisor();
}

// A request that equals its limit says no more than the limit alone.
void ClearRequestsOfLimits(corev1::ResourceRequirements& resources) {
  for (const auto& [name, limit] : resources.limits()) {
    const auto request = resources.requests().find(name);
    if (request == resources.requests().end()) continue;
    if (model::Quantity::From(request->second).Compare(model::Quantity::From(limit)) == 0) {
      resources.mutable_requests()->erase(name);
    }
  }
}

// The default policy names every resource and says that a resize restarts nothing.
void ClearResizePolicy(corev1::Container& container) {
  for (const corev1::ContainerResizePolicy& policy : container.resizepolicy()) {
    if (policy.restartpolicy() != "NotRequired") return;
  }
  container.clear_resizepolicy();
}

// For a source whose files carry a mode: secret, configMap, downwardAPI, projected.
template <class Source>
void ClearMode(Source& source) {
  if (source.defaultmode() == kFileMode) source.clear_defaultmode();
}

void ClearDownwardItems(google::protobuf::RepeatedPtrField<corev1::DownwardAPIVolumeFile>& items) {
  for (corev1::DownwardAPIVolumeFile& item : items) {
    if (item.has_fieldref()) ClearFieldRef(*item.mutable_fieldref());
    if (item.has_resourcefieldref()) ClearResourceFieldRef(*item.mutable_resourcefieldref());
  }
}

void ClearProjected(corev1::ProjectedVolumeSource& projected) {
  ClearMode(projected);
  for (corev1::VolumeProjection& source : *projected.mutable_sources()) {
    if (source.has_downwardapi()) ClearDownwardItems(*source.mutable_downwardapi()->mutable_items());
    if (source.serviceaccounttoken().expirationseconds() == kTokenSeconds) {
      source.mutable_serviceaccounttoken()->clear_expirationseconds();
    }
    if (source.podcertificate().maxexpirationseconds() == kCertificateSeconds) {
      source.mutable_podcertificate()->clear_maxexpirationseconds();
    }
  }
}

void ClearNetworkDisks(corev1::VolumeSource& source) {
  if (source.iscsi().iscsiinterface() == "default") source.mutable_iscsi()->clear_iscsiinterface();
  if (source.has_rbd()) {
    corev1::RBDVolumeSource& rbd = *source.mutable_rbd();
    if (rbd.pool() == "rbd") rbd.clear_pool();
    if (rbd.user() == "admin") rbd.clear_user();
    if (rbd.keyring() == "/etc/ceph/keyring") rbd.clear_keyring();
  }
  if (source.has_azuredisk()) {
    corev1::AzureDiskVolumeSource& disk = *source.mutable_azuredisk();
    if (disk.cachingmode() == "ReadWrite") disk.clear_cachingmode();
    if (disk.kind() == "Shared") disk.clear_kind();
    if (disk.fstype() == "ext4") disk.clear_fstype();
  }
  if (source.has_scaleio()) {
    corev1::ScaleIOVolumeSource& disk = *source.mutable_scaleio();
    if (disk.storagemode() == "ThinProvisioned") disk.clear_storagemode();
    if (disk.fstype() == "xfs") disk.clear_fstype();
  }
}

// The default source, an empty emptyDir, needs no clearing: an empty message reads as none.
void ClearVolume(corev1::Volume& volume) {
  if (!volume.has_volumesource()) return;
  corev1::VolumeSource& source = *volume.mutable_volumesource();
  if (source.has_secret()) ClearMode(*source.mutable_secret());
  if (source.has_configmap()) ClearMode(*source.mutable_configmap());
  if (source.has_downwardapi()) {
    ClearMode(*source.mutable_downwardapi());
    ClearDownwardItems(*source.mutable_downwardapi()->mutable_items());
  }
  if (source.has_projected()) ClearProjected(*source.mutable_projected());
  if (source.ephemeral().volumeclaimtemplate().spec().volumemode() == "Filesystem") {
    source.mutable_ephemeral()->mutable_volumeclaimtemplate()->mutable_spec()->clear_volumemode();
  }
  if (source.has_image() && source.image().pullpolicy() == DefaultPullPolicy(source.image().reference())) {
    source.mutable_image()->clear_pullpolicy();
  }
  ClearNetworkDisks(source);
}

void ClearHostPorts(corev1::Container& container) {
  for (corev1::ContainerPort& port : *container.mutable_ports()) {
    if (port.hostport() == port.containerport()) port.clear_hostport();
  }
}

}  // namespace

void ClearDefaults(corev1::Container& container) {
  if (container.imagepullpolicy() == DefaultPullPolicy(container.image())) container.clear_imagepullpolicy();
  if (container.terminationmessagepath() == "/dev/termination-log") container.clear_terminationmessagepath();
  if (container.terminationmessagepolicy() == "File") container.clear_terminationmessagepolicy();
  for (corev1::ContainerPort& port : *container.mutable_ports()) {
    if (port.protocol() == "TCP") port.clear_protocol();
  }
  for (corev1::EnvVar& env : *container.mutable_env()) {
    if (!env.has_valuefrom()) continue;
    corev1::EnvVarSource& from = *env.mutable_valuefrom();
    if (from.has_fieldref()) ClearFieldRef(*from.mutable_fieldref());
    if (from.has_resourcefieldref()) ClearResourceFieldRef(*from.mutable_resourcefieldref());
  }
  for (corev1::VolumeMount& mount : *container.mutable_volumemounts()) {
    if (mount.mountpropagation() == "None") mount.clear_mountpropagation();
    if (mount.recursivereadonly() == "Disabled") mount.clear_recursivereadonly();
  }
  if (container.has_resources()) ClearRequestsOfLimits(*container.mutable_resources());
  ClearResizePolicy(container);
  if (container.has_livenessprobe()) ClearProbe(*container.mutable_livenessprobe());
  if (container.has_readinessprobe()) ClearProbe(*container.mutable_readinessprobe());
  if (container.has_startupprobe()) ClearProbe(*container.mutable_startupprobe());
  if (container.lifecycle().has_poststart()) ClearHandler(*container.mutable_lifecycle()->mutable_poststart());
  if (container.lifecycle().has_prestop()) ClearHandler(*container.mutable_lifecycle()->mutable_prestop());
  if (container.securitycontext().procmount() == "Default") container.mutable_securitycontext()->clear_procmount();
}

void ClearDefaults(corev1::PodSpec& spec) {
  if (spec.restartpolicy() == "Always") spec.clear_restartpolicy();
  if (spec.dnspolicy() == "ClusterFirst") spec.clear_dnspolicy();
  if (spec.schedulername() == "default-scheduler") spec.clear_schedulername();
  if (spec.terminationgraceperiodseconds() == kGraceSeconds) spec.clear_terminationgraceperiodseconds();
  if (spec.enableservicelinks()) spec.clear_enableservicelinks();
  if (spec.serviceaccountname().empty()) spec.set_serviceaccountname(spec.serviceaccount());
  spec.clear_serviceaccount();

  for (corev1::Volume& volume : *spec.mutable_volumes()) ClearVolume(volume);
  for (corev1::Container& container : *spec.mutable_initcontainers()) {
    ClearDefaults(container);
    if (spec.hostnetwork()) ClearHostPorts(container);
  }
  for (corev1::Container& container : *spec.mutable_containers()) {
    ClearDefaults(container);
    if (spec.hostnetwork()) ClearHostPorts(container);
  }
}

}  // namespace daemonsetd::decide
