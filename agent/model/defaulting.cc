#include "agent/model/defaulting.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/quantity.h"

namespace daemonsetd::model {
namespace {

constexpr std::int32_t kFileMode = 0644;
constexpr std::int64_t kTokenSeconds = 3600;
constexpr std::int32_t kCertificateSeconds = 86400;

std::string DefaultPullPolicy(std::string_view image) { return ImageTagIsLatest(image) ? "Always" : "IfNotPresent"; }

void RoundUpToMilli(google::protobuf::Map<std::string, resourcev1::Quantity>& list) {
  for (auto& [name, message] : list) {
    const auto parsed = Quantity::Parse(message.string());
    if (!parsed) {
      continue;  // validation reports it; defaulting must not hide what the user wrote
    }
    const Quantity rounded = Quantity::FromMilli(parsed->MilliValue());
    message = rounded.Compare(*parsed) > 0 ? rounded.ToMessage() : parsed->ToMessage();
  }
}

void SetHttpGetDefaults(corev1::HTTPGetAction& action) {
  if (action.path().empty()) {
    action.set_path("/");
  }
  if (action.scheme().empty()) {
    action.set_scheme("HTTP");
  }
}

void SetProbeDefaults(corev1::Probe& probe) {
  if (probe.timeoutseconds() == 0) {
    probe.set_timeoutseconds(1);
  }
  if (probe.periodseconds() == 0) {
    probe.set_periodseconds(10);
  }
  if (probe.successthreshold() == 0) {
    probe.set_successthreshold(1);
  }
  if (probe.failurethreshold() == 0) {
    probe.set_failurethreshold(3);
  }
  if (!probe.has_handler()) {
    return;
  }
  if (probe.handler().has_httpget()) {
    SetHttpGetDefaults(*probe.mutable_handler()->mutable_httpget());
  }
  if (probe.handler().has_grpc() && !probe.handler().grpc().has_service()) {
    probe.mutable_handler()->mutable_grpc()->set_service("");
  }
}

void SetLifecycleDefaults(corev1::Lifecycle& lifecycle) {
  if (lifecycle.poststart().has_httpget()) {
    SetHttpGetDefaults(*lifecycle.mutable_poststart()->mutable_httpget());
  }
  if (lifecycle.prestop().has_httpget()) {
    SetHttpGetDefaults(*lifecycle.mutable_prestop()->mutable_httpget());
  }
}

void SetFieldRefDefaults(corev1::ObjectFieldSelector& selector) {
  if (selector.apiversion().empty()) {
    selector.set_apiversion("v1");
  }
}

// The API has no "unset" for a divisor: it reads and prints as 0, which the consumer takes as 1.
void SetResourceFieldDefaults(corev1::ResourceFieldSelector& selector) {
  if (!selector.has_divisor() || selector.divisor().string().empty()) {
    selector.mutable_divisor()->set_string("0");
  }
}

// Container and EphemeralContainerCommon have the same fields but no common type.
template <class AnyContainer>
void SetContainerDefaults(AnyContainer& container) {
  if (container.imagepullpolicy().empty()) {
    container.set_imagepullpolicy(DefaultPullPolicy(container.image()));
  }
  if (container.terminationmessagepath().empty()) {
    container.set_terminationmessagepath("/dev/termination-log");
  }
  if (container.terminationmessagepolicy().empty()) {
    container.set_terminationmessagepolicy("File");
  }
  for (auto& port : *container.mutable_ports()) {
    if (port.protocol().empty()) {
      port.set_protocol("TCP");
    }
  }
  for (auto& env : *container.mutable_env()) {
    if (env.valuefrom().has_fieldref()) {
      SetFieldRefDefaults(*env.mutable_valuefrom()->mutable_fieldref());
    }
    if (env.valuefrom().has_resourcefieldref()) {
      SetResourceFieldDefaults(*env.mutable_valuefrom()->mutable_resourcefieldref());
    }
  }
  if (container.has_resources()) {
    RoundUpToMilli(*container.mutable_resources()->mutable_limits());
    RoundUpToMilli(*container.mutable_resources()->mutable_requests());
  }
  if (container.has_livenessprobe()) {
    SetProbeDefaults(*container.mutable_livenessprobe());
  }
  if (container.has_readinessprobe()) {
    SetProbeDefaults(*container.mutable_readinessprobe());
  }
  if (container.has_startupprobe()) {
    SetProbeDefaults(*container.mutable_startupprobe());
  }
  if (container.has_lifecycle()) {
    SetLifecycleDefaults(*container.mutable_lifecycle());
  }
}

void SetDownwardItemDefaults(google::protobuf::RepeatedPtrField<corev1::DownwardAPIVolumeFile>& items) {
  for (auto& item : items) {
    if (item.has_fieldref()) {
      SetFieldRefDefaults(*item.mutable_fieldref());
    }
    if (item.has_resourcefieldref()) {
      SetResourceFieldDefaults(*item.mutable_resourcefieldref());
    }
  }
}

// For a source whose files carry a mode: secret, configMap, downwardAPI, projected.
template <class Source>
void SetModeDefault(Source& source) {
  if (!source.has_defaultmode()) {
    source.set_defaultmode(kFileMode);
  }
}

void SetProjectedDefaults(corev1::ProjectedVolumeSource& projected) {
  SetModeDefault(projected);
  for (auto& source : *projected.mutable_sources()) {
    if (source.has_downwardapi()) {
      SetDownwardItemDefaults(*source.mutable_downwardapi()->mutable_items());
    }
    if (source.has_serviceaccounttoken() && !source.serviceaccounttoken().has_expirationseconds()) {
      source.mutable_serviceaccounttoken()->set_expirationseconds(kTokenSeconds);
    }
    if (source.has_podcertificate() && !source.podcertificate().has_maxexpirationseconds()) {
      source.mutable_podcertificate()->set_maxexpirationseconds(kCertificateSeconds);
    }
  }
}

void SetNetworkDiskDefaults(corev1::VolumeSource& source) {
  if (source.has_iscsi() && source.iscsi().iscsiinterface().empty()) {
    source.mutable_iscsi()->set_iscsiinterface("default");
  }
  if (source.has_rbd()) {
    auto& rbd = *source.mutable_rbd();
    if (rbd.pool().empty()) {
      rbd.set_pool("rbd");
    }
    if (rbd.user().empty()) {
      rbd.set_user("admin");
    }
    if (rbd.keyring().empty()) {
      rbd.set_keyring("/etc/ceph/keyring");
    }
  }
  if (source.has_azuredisk()) {
    auto& disk = *source.mutable_azuredisk();
    if (!disk.has_cachingmode()) {
      disk.set_cachingmode("ReadWrite");
    }
    if (!disk.has_kind()) {
      disk.set_kind("Shared");
    }
    if (!disk.has_fstype()) {
      disk.set_fstype("ext4");
    }
    if (!disk.has_readonly()) {
      disk.set_readonly(false);
    }
  }
  if (source.has_scaleio()) {
    if (source.scaleio().storagemode().empty()) {
      source.mutable_scaleio()->set_storagemode("ThinProvisioned");
    }
    if (source.scaleio().fstype().empty()) {
      source.mutable_scaleio()->set_fstype("xfs");
    }
  }
}

void SetVolumeDefaults(corev1::Volume& volume) {
  corev1::VolumeSource& source = *volume.mutable_volumesource();
  if (source.ByteSizeLong() == 0) {
    source.mutable_emptydir();
  }
  if (source.has_hostpath() && !source.hostpath().has_type()) {
    source.mutable_hostpath()->set_type("");
  }
  if (source.has_secret()) {
    SetModeDefault(*source.mutable_secret());
  }
  if (source.has_configmap()) {
    SetModeDefault(*source.mutable_configmap());
  }
  if (source.has_downwardapi()) {
    SetModeDefault(*source.mutable_downwardapi());
    SetDownwardItemDefaults(*source.mutable_downwardapi()->mutable_items());
  }
  if (source.has_projected()) {
    SetProjectedDefaults(*source.mutable_projected());
  }
  if (source.has_ephemeral() && source.ephemeral().has_volumeclaimtemplate()) {
    auto& claim = *source.mutable_ephemeral()->mutable_volumeclaimtemplate()->mutable_spec();
    if (!claim.has_volumemode()) {
      claim.set_volumemode("Filesystem");
    }
    if (claim.has_resources()) {
      RoundUpToMilli(*claim.mutable_resources()->mutable_limits());
      RoundUpToMilli(*claim.mutable_resources()->mutable_requests());
    }
  }
  if (source.has_image() && source.image().pullpolicy().empty()) {
    source.mutable_image()->set_pullpolicy(DefaultPullPolicy(source.image().reference()));
  }
  SetNetworkDiskDefaults(source);
}

void SetMetadataDefaults(metav1::ObjectMeta& metadata) {
  if (metadata.namespace_().empty()) {
    metadata.set_namespace_("default");
  }
}

void SetIntDefault(intstrv1::IntOrString& value, std::int32_t number) {
  value.set_type(0);
  value.set_intval(number);
}

// Requests that are missing equal the limits. Only on a Pod: a template keeps what the user wrote.
void SetRequestsFromLimits(google::protobuf::RepeatedPtrField<corev1::Container>& containers) {
  for (auto& container : containers) {
    for (const auto& [name, limit] : container.resources().limits()) {
      auto& requests = *container.mutable_resources()->mutable_requests();
      if (!requests.contains(name)) {
        requests[name] = limit;
      }
    }
  }
}

void SetHostPorts(google::protobuf::RepeatedPtrField<corev1::Container>& containers) {
  for (auto& container : containers) {
    for (auto& port : *container.mutable_ports()) {
      if (port.hostport() == 0) {
        port.set_hostport(port.containerport());
      }
    }
  }
}

}  // namespace

void SetPodSpecDefaults(corev1::PodSpec& spec) {
  if (spec.dnspolicy().empty()) {
    spec.set_dnspolicy("ClusterFirst");
  }
  if (spec.restartpolicy().empty()) {
    spec.set_restartpolicy("Always");
  }
  spec.mutable_securitycontext();
  if (!spec.has_terminationgraceperiodseconds()) {
    spec.set_terminationgraceperiodseconds(30);
  }
  if (spec.schedulername().empty()) {
    spec.set_schedulername("default-scheduler");
  }
  // The old name follows the new one; it counts only where the new one is missing.
  if (spec.serviceaccountname().empty() && !spec.serviceaccount().empty()) {
    spec.set_serviceaccountname(spec.serviceaccount());
  }
  if (!spec.serviceaccountname().empty()) {
    spec.set_serviceaccount(spec.serviceaccountname());
  }
  for (auto& volume : *spec.mutable_volumes()) {
    SetVolumeDefaults(volume);
  }
  for (auto& container : *spec.mutable_initcontainers()) {
    SetContainerDefaults(container);
  }
  for (auto& container : *spec.mutable_containers()) {
    SetContainerDefaults(container);
  }
  for (auto& container : *spec.mutable_ephemeralcontainers()) {
    SetContainerDefaults(*container.mutable_ephemeralcontainercommon());
  }
  RoundUpToMilli(*spec.mutable_overhead());
  if (spec.has_resources()) {
    RoundUpToMilli(*spec.mutable_resources()->mutable_limits());
    RoundUpToMilli(*spec.mutable_resources()->mutable_requests());
  }
}

void SetDefaults(appsv1::DaemonSet& daemon_set) {
  SetMetadataDefaults(*daemon_set.mutable_metadata());
  auto& spec = *daemon_set.mutable_spec();
  auto& strategy = *spec.mutable_updatestrategy();
  if (strategy.type().empty()) {
    strategy.set_type("RollingUpdate");
  }
  if (strategy.type() == "RollingUpdate") {
    auto& rolling = *strategy.mutable_rollingupdate();
    if (!rolling.has_maxunavailable()) {
      SetIntDefault(*rolling.mutable_maxunavailable(), 1);
    }
    if (!rolling.has_maxsurge()) {
      SetIntDefault(*rolling.mutable_maxsurge(), 0);
    }
  }
  if (!spec.has_revisionhistorylimit()) {
    spec.set_revisionhistorylimit(10);
  }
  SetPodSpecDefaults(*spec.mutable_template_()->mutable_spec());
}

void SetDefaults(corev1::Pod& pod) {
  SetMetadataDefaults(*pod.mutable_metadata());
  auto& spec = *pod.mutable_spec();
  SetPodSpecDefaults(spec);
  SetRequestsFromLimits(*spec.mutable_containers());
  SetRequestsFromLimits(*spec.mutable_initcontainers());
  SetPodResourceDefaults(spec);
  if (!spec.has_enableservicelinks()) {
    spec.set_enableservicelinks(true);
  }
  if (spec.hostnetwork()) {
    SetHostPorts(*spec.mutable_containers());
    SetHostPorts(*spec.mutable_initcontainers());
  }
}

}  // namespace daemonsetd::model
