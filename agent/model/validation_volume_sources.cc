#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/quantity.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

void RequireText(const Path& path, std::string_view value, ErrorList& errors) {
  if (value.empty()) {
    errors.Required(path);
  }
}

void CheckByte(const Path& path, std::int32_t value, std::int64_t low, ErrorList& errors) {
  if (value < 0 || value > 255) {
    errors.InvalidNumber(path, value, RangeReason(low, 255));
  }
}

bool AllAlnum(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

// iqn.YYYY-MM.reverse.domain:name, eui.16 characters, naa.32 characters.
std::string CheckInitiator(std::string_view name) {
  constexpr std::string_view kBad = "must be valid format";
  if (name.starts_with("eui")) {
    return name.size() == 20 && AllAlnum(name.substr(4)) ? "" : std::string(kBad);
  }
  if (name.starts_with("naa")) {
    return name.size() == 36 && AllAlnum(name.substr(4)) ? "" : std::string(kBad);
  }
  if (!name.starts_with("iqn")) {
    return "must be valid format starting with iqn, eui, or naa";
  }
  constexpr std::string_view kShape = "iqn.dddd-dd.";
  if (name.size() <= kShape.size()) {
    return std::string(kBad);
  }
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const bool fits = kShape[i] == 'd' ? name[i] >= '0' && name[i] <= '9' : name[i] == kShape[i] || i < 3;
    if (!fits) {
      return std::string(kBad);
    }
  }
  const std::string_view rest = name.substr(kShape.size());
  const std::size_t colon = rest.find(':');
  const bool fits = colon != std::string_view::npos && colon > 0 && colon + 1 < rest.size() &&
                    rest.find_first_of(",;*&$| \t\n\r\f") == std::string_view::npos;
  return fits ? "" : std::string(kBad);
}

void ValidateIscsi(const corev1::ISCSIVolumeSource& iscsi, std::string_view volume_name, const Path& volume_path,
                   ErrorList& errors) {
  const Path path = volume_path / "iscsi";
  RequireText(path / "targetPortal", iscsi.targetportal(), errors);
  if (iscsi.iqn().empty()) {
    errors.Required(path / "iqn");
  } else {
    errors.Check(path / "iqn", iscsi.iqn(), CheckInitiator(iscsi.iqn()));
  }
  CheckByte(path / "lun", iscsi.lun(), 0, errors);
  if ((iscsi.chapauthdiscovery() || iscsi.chapauthsession()) && !iscsi.has_secretref()) {
    errors.Required(path / "secretRef");
  }
  if (iscsi.has_initiatorname()) {
    errors.Check(path / "initiatorname", iscsi.initiatorname(), CheckInitiator(iscsi.initiatorname()));
    if (volume_name.size() + 1 + iscsi.targetportal().size() > 64) {
      errors.Invalid(volume_path / "name", volume_name,
                     "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                     "iscsi.initiatorName is specified.");
    }
  }
}

void ValidateFibreChannel(const corev1::FCVolumeSource& fc, const Path& path, ErrorList& errors) {
  if (fc.targetwwns().empty() && fc.wwids().empty()) {
    errors.Required(path / "targetWWNs", "must specify either targetWWNs or wwids, but not both");
  }
  if (!fc.targetwwns().empty() && !fc.wwids().empty()) {
    errors.Invalid(path / "targetWWNs", fc.targetwwns(0), "targetWWNs and wwids can not be specified simultaneously");
  }
  if (fc.targetwwns().empty()) {
    return;
  }
  if (!fc.has_lun()) {
    errors.Required(path / "lun", "lun is required if targetWWNs is specified");
  } else {
    CheckByte(path / "lun", fc.lun(), 0, errors);
  }
}

void ValidateFlexVolume(const corev1::FlexVolumeSource& flex, const Path& path, ErrorList& errors) {
  RequireText(path / "driver", flex.driver(), errors);
  for (const std::string& key : SortedKeys(flex.options())) {
    std::string prefix = "." + key.substr(0, key.find('/'));
    std::ranges::transform(prefix, prefix.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (prefix.ends_with(".kubernetes.io") || prefix.ends_with(".k8s.io")) {
      errors.Invalid((path / "options").Key(key), key, "kubernetes.io and k8s.io namespaces are reserved");
    }
  }
}

void ValidateAzureDisk(const corev1::AzureDiskVolumeSource& disk, const Path& path, ErrorList& errors) {
  RequireText(path / "diskName", disk.diskname(), errors);
  RequireText(path / "diskURI", disk.diskuri(), errors);
  if (disk.has_cachingmode()) {
    errors.CheckOneOf(path / "cachingMode", disk.cachingmode(), {"None", "ReadOnly", "ReadWrite"});
  }
  if (!disk.has_kind()) {
    return;
  }
  errors.CheckOneOf(path / "kind", disk.kind(), {"Dedicated", "Managed", "Shared"});
  if (disk.kind() == "Managed" && !disk.diskuri().starts_with("/subscriptions/")) {
    errors.NotSupported(path / "diskURI", disk.diskuri(),
                        {"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/"
                         "{disk-id}"});
  }
  if (disk.kind() != "Managed" && !disk.diskuri().starts_with("https://")) {
    errors.NotSupported(path / "diskURI", disk.diskuri(),
                        {"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"});
  }
}

void ValidateCsi(const corev1::CSIVolumeSource& csi, const Path& path, ErrorList& errors) {
  const std::string& driver = csi.driver();
  if (driver.empty()) {
    errors.Required(path / "driver");
  }
  if (driver.size() > 63) {
    errors.TooLong(path / "driver", 63);
  }
  std::string lowered = driver;
  std::ranges::transform(lowered, lowered.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  errors.Check(path / "driver", driver, CheckDns1123Subdomain(lowered));
  if (csi.has_nodepublishsecretref()) {
    const std::string& name = csi.nodepublishsecretref().name();
    if (name.empty()) {
      errors.Required(path / "nodePublishSecretRef" / "name");
    } else {
      errors.Check(path / "name", name, CheckDns1123Subdomain(name));
    }
  }
}

// The template of a claim knows labels and annotations only.
void ValidateClaimMetadata(const metav1::ObjectMeta& metadata, const Path& path, ErrorList& errors) {
  ValidateAnnotations(metadata.annotations(), path / "annotations", errors);
  ValidateLabels(metadata.labels(), path / "labels", errors);
  const auto forbid = [&](bool is_set, std::string_view field) {
    if (is_set) {
      errors.Forbidden(path / field, "cannot be set");
    }
  };
  forbid(!metadata.name().empty(), "name");
  forbid(!metadata.generatename().empty(), "generateName");
  forbid(!metadata.namespace_().empty(), "namespace");
  forbid(!metadata.uid().empty(), "uID");
  forbid(!metadata.resourceversion().empty(), "resourceVersion");
  forbid(metadata.generation() != 0, "generation");
  forbid(!metadata.ownerreferences().empty(), "ownerReferences");
  forbid(!metadata.finalizers().empty(), "finalizers");
}

void ValidateClaimSpec(const corev1::PersistentVolumeClaimSpec& claim, const Path& path, ErrorList& errors) {
  if (claim.accessmodes().empty()) {
    errors.Required(path / "accessModes", "at least 1 access mode is required");
  }
  bool exclusive = false;
  bool shared = false;
  for (const std::string& mode : claim.accessmodes()) {
    errors.CheckOneOf(path / "accessModes", mode,
                      {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"});
    (mode == "ReadWriteOncePod" ? exclusive : shared) = true;
  }
  if (exclusive && shared) {
    errors.Forbidden(path / "accessModes", "may not use ReadWriteOncePod with other access modes");
  }
  if (claim.has_selector()) {
    ValidateLabelSelector(claim.selector(), path / "selector", errors);
  }
  const Path storage_path = (path / "resources").Key("storage");
  const auto storage = claim.resources().requests().find("storage");
  if (storage == claim.resources().requests().end()) {
    errors.Required(storage_path);
  } else if (const auto size = Quantity::Parse(storage->second.string()); !size || size->Sign() <= 0) {
    errors.Invalid(storage_path, storage->second.string(), "must be greater than zero");
  }
  if (!claim.storageclassname().empty()) {
    errors.Check(path / "storageClassName", claim.storageclassname(), CheckDns1123Subdomain(claim.storageclassname()));
  }
  if (claim.has_volumemode()) {
    errors.CheckOneOf(path / "volumeMode", claim.volumemode(), {"Block", "Filesystem"});
  }
  const auto check_source = [&](const auto& source, std::string_view field) {
    RequireText(path / field / "name", source.name(), errors);
    RequireText(path / field / "kind", source.kind(), errors);
    if (source.apigroup().empty() && source.kind() != "PersistentVolumeClaim") {
      errors.Invalid(path / field, source.kind(),
                     "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    } else if (!source.apigroup().empty()) {
      errors.Check(path / field / "apiGroup", source.apigroup(), CheckDns1123Subdomain(source.apigroup()));
    }
  };
  if (claim.has_datasource()) {
    check_source(claim.datasource(), "dataSource");
  }
  if (claim.has_datasourceref()) {
    check_source(claim.datasourceref(), "dataSourceRef");
  }
}

void ValidateEphemeral(const corev1::Volume& volume, std::string_view pod_name, const Path& volume_path,
                       ErrorList& errors) {
  const auto& ephemeral = volume.volumesource().ephemeral();
  const Path path = volume_path / "ephemeral" / "volumeClaimTemplate";
  if (!ephemeral.has_volumeclaimtemplate()) {
    errors.Required(path);
    return;
  }
  ValidateClaimMetadata(ephemeral.volumeclaimtemplate().metadata(), path / "metadata", errors);
  ValidateClaimSpec(ephemeral.volumeclaimtemplate().spec(), path / "spec", errors);
  if (!pod_name.empty() && !volume.name().empty()) {
    const std::string claim = std::string(pod_name) + "-" + volume.name();
    if (const std::string reason = CheckDns1123Subdomain(claim); !reason.empty()) {
      errors.Invalid(volume_path / "name", volume.name(), "PVC name \"" + claim + "\": " + reason);
    }
  }
}

}  // namespace

void ValidateNetworkSource(const corev1::Volume& volume, std::string_view pod_name, const Path& path,
                           ErrorList& errors) {
  const corev1::VolumeSource& source = volume.volumesource();
  const auto require = [&](std::string_view field, std::string_view member, std::string_view value) {
    RequireText(path / field / member, value, errors);
  };
  if (source.has_gitrepo()) {
    require("gitRepo", "repository", source.gitrepo().repository());
    CheckRelativePath(path / "gitRepo" / "directory", source.gitrepo().directory(), errors);
  } else if (source.has_gcepersistentdisk()) {
    require("persistentDisk", "pdName", source.gcepersistentdisk().pdname());
    CheckByte(path / "persistentDisk" / "partition", source.gcepersistentdisk().partition(), 1, errors);
  } else if (source.has_awselasticblockstore()) {
    require("awsElasticBlockStore", "volumeID", source.awselasticblockstore().volumeid());
    CheckByte(path / "awsElasticBlockStore" / "partition", source.awselasticblockstore().partition(), 1, errors);
  } else if (source.has_nfs()) {
    require("nfs", "server", source.nfs().server());
    require("nfs", "path", source.nfs().path());
    if (!source.nfs().path().starts_with('/')) {
      errors.Invalid(path / "nfs" / "path", source.nfs().path(), "must be an absolute path");
    }
  } else if (source.has_iscsi()) {
    ValidateIscsi(source.iscsi(), volume.name(), path, errors);
  } else if (source.has_glusterfs()) {
    require("glusterfs", "endpoints", source.glusterfs().endpoints());
    require("glusterfs", "path", source.glusterfs().path());
  } else if (source.has_flocker()) {
    const auto& flocker = source.flocker();
    if (flocker.datasetname().empty() == flocker.datasetuuid().empty()) {
      if (flocker.datasetname().empty()) {
        errors.Required(path / "flocker", "one of datasetName and datasetUUID is required");
      } else {
        errors.Invalid(path / "flocker", "resource", "datasetName and datasetUUID can not be specified simultaneously");
      }
    }
    if (flocker.datasetname().find('/') != std::string::npos) {
      errors.Invalid(path / "flocker" / "datasetName", flocker.datasetname(), "must not contain '/'");
    }
  } else if (source.has_persistentvolumeclaim()) {
    require("persistentVolumeClaim", "claimName", source.persistentvolumeclaim().claimname());
  } else if (source.has_rbd()) {
    if (source.rbd().monitors().empty()) {
      errors.Required(path / "rbd" / "monitors");
    }
    require("rbd", "image", source.rbd().image());
  } else if (source.has_cinder()) {
    require("cinder", "volumeID", source.cinder().volumeid());
    if (source.cinder().has_secretref()) {
      RequireText(path / "cinder" / "secretRef" / "name", source.cinder().secretref().name(), errors);
    }
  } else if (source.has_cephfs()) {
    if (source.cephfs().monitors().empty()) {
      errors.Required(path / "cephfs" / "monitors");
    }
  } else if (source.has_quobyte()) {
    if (source.quobyte().registry().empty()) {
      errors.Required(path / "quobyte" / "registry", "must be a host:port pair or multiple pairs separated by commas");
    }
    require("quobyte", "volume", source.quobyte().volume());
  } else if (source.has_fc()) {
    ValidateFibreChannel(source.fc(), path / "fc", errors);
  } else if (source.has_flexvolume()) {
    ValidateFlexVolume(source.flexvolume(), path / "flexVolume", errors);
  } else if (source.has_azurefile()) {
    require("azureFile", "secretName", source.azurefile().secretname());
    require("azureFile", "shareName", source.azurefile().sharename());
  } else if (source.has_vspherevolume()) {
    require("vsphereVolume", "volumePath", source.vspherevolume().volumepath());
  } else if (source.has_photonpersistentdisk()) {
    require("photonPersistentDisk", "pdID", source.photonpersistentdisk().pdid());
  } else if (source.has_portworxvolume()) {
    require("portworxVolume", "volumeID", source.portworxvolume().volumeid());
  } else if (source.has_azuredisk()) {
    ValidateAzureDisk(source.azuredisk(), path / "azureDisk", errors);
  } else if (source.has_storageos()) {
    require("storageos", "volumeName", source.storageos().volumename());
  } else if (source.has_scaleio()) {
    require("scaleIO", "gateway", source.scaleio().gateway());
    require("scaleIO", "system", source.scaleio().system());
    require("scaleIO", "volumeName", source.scaleio().volumename());
  } else if (source.has_csi()) {
    ValidateCsi(source.csi(), path / "csi", errors);
  } else if (source.has_ephemeral()) {
    ValidateEphemeral(volume, pod_name, path, errors);
  }
}

}  // namespace daemonsetd::model::validation
