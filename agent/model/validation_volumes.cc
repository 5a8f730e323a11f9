#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/quantity.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

constexpr std::string_view kModeReason = "must be a number between 0 and 0777 (octal), both inclusive";
constexpr std::string_view kDuplicatePaths = "conflicting duplicate paths";

using PathSet = std::set<std::string, std::less<>>;

void CheckMode(const Path& path, std::int32_t mode, ErrorList& errors) {
  if (mode < 0 || mode > 0777) {
    errors.InvalidNumber(path, mode, std::string(kModeReason));
  }
}

template <class Source>
void CheckDefaultMode(const Source& source, const Path& path, ErrorList& errors) {
  if (source.has_defaultmode()) {
    CheckMode(path / "defaultMode", source.defaultmode(), errors);
  }
}

void ValidateItems(const google::protobuf::RepeatedPtrField<corev1::KeyToPath>& items, const Path& path,
                   ErrorList& errors) {
  for (int i = 0; i < items.size(); ++i) {
    const auto& item = items.Get(i);
    if (item.key().empty()) {
      errors.Required(path[i] / "key");
    }
    if (item.path().empty()) {
      errors.Required(path[i] / "path");
    }
    CheckVolumeFilePath(path[i] / "path", item.path(), errors);
    if (item.has_mode()) {
      CheckMode(path[i] / "mode", item.mode(), errors);
    }
  }
}

void ValidateDownwardFile(const corev1::DownwardAPIVolumeFile& file, const Path& path, ErrorList& errors) {
  if (file.path().empty()) {
    errors.Required(path / "path");
  }
  CheckVolumeFilePath(path / "path", file.path(), errors);
  if (file.has_fieldref()) {
    ValidateFieldRef(file.fieldref(),
                     {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"},
                     path / "fieldRef", errors);
    if (file.has_resourcefieldref()) {
      errors.Invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
    }
  } else if (file.has_resourcefieldref()) {
    ValidateResourceFieldRef(file.resourcefieldref(), true, path / "resourceFieldRef", errors);
  } else {
    errors.Required(path, "one of fieldRef and resourceFieldRef is required");
  }
  if (file.has_mode()) {
    CheckMode(path / "mode", file.mode(), errors);
  }
}

void ValidateHostPath(const corev1::HostPathVolumeSource& source, const Path& path, ErrorList& errors) {
  if (source.path().empty()) {
    errors.Required(path / "path");
    return;
  }
  CheckNoBacksteps(path / "path", source.path(), errors);
  errors.CheckOneOf(
      path / "type", source.type(),
      {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"});
}

// A configMap or secret inside a projected volume.
template <class Projection>
void ValidateKeyProjection(const Projection& source, const Path& volume_path, const Path& path, PathSet& paths,
                           ErrorList& errors) {
  const std::string& name = source.localobjectreference().name();
  if (name.empty()) {
    errors.Required(path / "name");
  }
  ValidateItems(source.items(), path / "items", errors);
  for (const auto& item : source.items()) {
    if (!item.path().empty() && !paths.insert(item.path()).second) {
      errors.Invalid(volume_path, name, std::string(kDuplicatePaths));
    }
  }
}

void ValidateTokenProjection(const corev1::ServiceAccountTokenProjection& token, const Path& volume_path,
                             const Path& path, ErrorList& errors) {
  constexpr std::int64_t kShortest = 600;
  constexpr std::int64_t kLongest = std::int64_t{1} << 32;
  if (token.expirationseconds() < kShortest) {
    errors.InvalidNumber(path / "expirationSeconds", token.expirationseconds(),
                         "may not specify a duration less than 10 minutes");
  }
  if (token.expirationseconds() > kLongest) {
    errors.InvalidNumber(path / "expirationSeconds", token.expirationseconds(),
                         "may not specify a duration larger than 2^32 seconds");
  }
  if (token.path().empty()) {
    errors.Required(volume_path / "path");
  } else {
    CheckVolumeFilePath(volume_path / "path", token.path(), errors);
  }
}

// "signer.example.com:prefix:suffix" becomes a subdomain per part; a bare name is one subdomain.
std::string CheckTrustBundleName(std::string_view name) {
  while (true) {
    const std::size_t colon = name.find(':');
    if (std::string reason = CheckDns1123Subdomain(name.substr(0, colon)); !reason.empty()) {
      return "not a valid clustertrustbundlename: " + reason;
    }
    if (colon == std::string_view::npos) {
      return {};
    }
    name.remove_prefix(colon + 1);
  }
}

void ValidateTrustBundle(const corev1::ClusterTrustBundleProjection& bundle, const Path& path, ErrorList& errors) {
  if (bundle.has_name() && bundle.has_signername()) {
    errors.Invalid(path, bundle.name(), "only one of name and signerName may be used");
  } else if (bundle.has_name()) {
    if (bundle.name().empty()) {
      errors.Required(path / "name", "must be a valid object name");
    }
    errors.Check(path / "name", bundle.name(), CheckTrustBundleName(bundle.name()));
    if (bundle.has_labelselector()) {
      errors.Invalid(path / "labelSelector", "", "labelSelector must be unset if name is specified");
    }
  } else if (bundle.has_signername()) {
    if (bundle.signername().empty()) {
      errors.Required(path / "signerName", "must be a valid signer name");
    }
    errors.Check(path / "signerName", bundle.signername(), CheckDomainPrefixedPath(bundle.signername()));
    ValidateLabelSelector(bundle.labelselector(), path / "labelSelector", errors);
  } else {
    errors.Required(path, "either name or signerName must be specified");
  }
  if (bundle.path().empty()) {
    errors.Required(path / "path");
  }
  CheckVolumeFilePath(path / "path", bundle.path(), errors);
}

void ValidateCertificate(const corev1::PodCertificateProjection& certificate, const Path& path, ErrorList& errors) {
  constexpr std::int32_t kShortest = 3600;
  constexpr std::int32_t kLongest = 91 * 86400;
  if (certificate.signername().empty()) {
    errors.Required(path / "signerName", "must be a valid signer name");
  } else {
    errors.Check(path / "signerName", certificate.signername(), CheckDomainPrefixedPath(certificate.signername()));
  }
  errors.CheckOneOf(path / "keyType", certificate.keytype(),
                    {"ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"});
  const std::int32_t seconds = certificate.maxexpirationseconds();
  if (certificate.has_maxexpirationseconds() && (seconds < kShortest || seconds > kLongest)) {
    errors.InvalidNumber(path / "maxExpirationSeconds", seconds, RangeReason(kShortest, kLongest));
  }
  const auto check = [&](std::string_view field, const std::string& value) {
    if (!value.empty()) {
      CheckVolumeFilePath(path / field, value, errors);
    }
  };
  check("credentialBundlePath", certificate.credentialbundlepath());
  check("keyPath", certificate.keypath());
  check("certificateChainPath", certificate.certificatechainpath());
  if (certificate.credentialbundlepath().empty() && certificate.keypath().empty() &&
      certificate.certificatechainpath().empty()) {
    errors.Required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
  }
}

void ValidateProjected(const corev1::ProjectedVolumeSource& projected, const Path& path, ErrorList& errors) {
  CheckDefaultMode(projected, path, errors);
  PathSet paths;
  const auto claim_path = [&](const std::string& file) {
    if (!file.empty() && !paths.insert(file).second) {
      errors.Invalid(path, file, std::string(kDuplicatePaths));
    }
  };
  for (int i = 0; i < projected.sources_size(); ++i) {
    const auto& source = projected.sources(i);
    const Path at = (path / "sources")[i];
    int kinds = 0;
    if (source.has_secret()) {
      ++kinds;
      ValidateKeyProjection(source.secret(), path, at / "secret", paths, errors);
    }
    if (source.has_configmap()) {
      ++kinds;
      ValidateKeyProjection(source.configmap(), path, at / "configMap", paths, errors);
    }
    if (source.has_downwardapi()) {
      ++kinds;
      for (const auto& file : source.downwardapi().items()) {
        ValidateDownwardFile(file, at / "downwardAPI", errors);
        claim_path(file.path());
      }
    }
    if (source.has_serviceaccounttoken()) {
      ++kinds;
      ValidateTokenProjection(source.serviceaccounttoken(), path, at / "serviceAccountToken", errors);
    }
    if (source.has_clustertrustbundle()) {
      ++kinds;
      ValidateTrustBundle(source.clustertrustbundle(), at / "clusterTrustBundle", errors);
      claim_path(source.clustertrustbundle().path());
    }
    if (source.has_podcertificate()) {
      ++kinds;
      ValidateCertificate(source.podcertificate(), at / "podCertificate", errors);
      claim_path(source.podcertificate().credentialbundlepath());
      claim_path(source.podcertificate().keypath());
      claim_path(source.podcertificate().certificatechainpath());
    }
    if (kinds > 1) {
      errors.Forbidden(at, "may not specify more than 1 volume type per source");
    }
  }
}

void ValidateEmptyDir(const corev1::EmptyDirVolumeSource& source, const Path& path, ErrorList& errors) {
  if (source.has_sizelimit()) {
    const auto limit = Quantity::Parse(source.sizelimit().string());
    if (!limit || limit->Sign() < 0) {
      errors.Forbidden(path / "sizeLimit", "SizeLimit field must be a valid resource quantity");
    }
  }
  if (source.has_mode()) {
    CheckMode(path / "mode", source.mode(), errors);
  }
}

template <class Source>
void ValidateKeyFiles(const Source& source, const std::string& name, std::string_view name_field, const Path& path,
                      ErrorList& errors) {
  if (name.empty()) {
    errors.Required(path / name_field);
  }
  CheckDefaultMode(source, path, errors);
  ValidateItems(source.items(), path / "items", errors);
}

// One row per source in upstream's order: the first that is set counts, each further one is refused under the name
// that upstream prints (two of which it misspells).
struct SourceField {
  std::string_view name;
  bool (corev1::VolumeSource::*has)() const;
};

using Source = corev1::VolumeSource;
constexpr SourceField kSourceFields[] = {
    {"emptyDir", &Source::has_emptydir},
    {"hostPath", &Source::has_hostpath},
    {"gitRepo", &Source::has_gitrepo},
    {"gcePersistentDisk", &Source::has_gcepersistentdisk},
    {"awsElasticBlockStore", &Source::has_awselasticblockstore},
    {"secret", &Source::has_secret},
    {"nfs", &Source::has_nfs},
    {"iscsi", &Source::has_iscsi},
    {"glusterfs", &Source::has_glusterfs},
    {"flocker", &Source::has_flocker},
    {"persistentVolumeClaim", &Source::has_persistentvolumeclaim},
    {"rbd", &Source::has_rbd},
    {"cinder", &Source::has_cinder},
    {"cephFS", &Source::has_cephfs},
    {"quobyte", &Source::has_quobyte},
    {"downwarAPI", &Source::has_downwardapi},
    {"fc", &Source::has_fc},
    {"flexVolume", &Source::has_flexvolume},
    {"configMap", &Source::has_configmap},
    {"azureFile", &Source::has_azurefile},
    {"vsphereVolume", &Source::has_vspherevolume},
    {"photonPersistentDisk", &Source::has_photonpersistentdisk},
    {"portworxVolume", &Source::has_portworxvolume},
    {"azureDisk", &Source::has_azuredisk},
    {"storageos", &Source::has_storageos},
    {"projected", &Source::has_projected},
    {"scaleIO", &Source::has_scaleio},
    {"csi", &Source::has_csi},
    {"ephemeral", &Source::has_ephemeral},
    {"image", &Source::has_image},
};

void ValidateSource(const corev1::Volume& volume, std::string_view pod_name, bool is_pod, const Path& path,
                    ErrorList& errors) {
  const corev1::VolumeSource& source = volume.volumesource();
  std::string_view first;
  for (const SourceField& field : kSourceFields) {
    if (!(source.*field.has)()) {
      continue;
    }
    if (first.empty()) {
      first = field.name;
    } else {
      errors.Forbidden(path / field.name, "may not specify more than 1 volume type");
    }
  }
  if (first.empty()) {
    errors.Required(path, "must specify a volume type");
  } else if (first == "emptyDir") {
    ValidateEmptyDir(source.emptydir(), path / "emptyDir", errors);
  } else if (first == "hostPath") {
    ValidateHostPath(source.hostpath(), path / "hostPath", errors);
  } else if (first == "secret") {
    ValidateKeyFiles(source.secret(), source.secret().secretname(), "secretName", path / "secret", errors);
  } else if (first == "configMap") {
    ValidateKeyFiles(source.configmap(), source.configmap().localobjectreference().name(), "name", path / "configMap",
                     errors);
  } else if (first == "downwarAPI") {
    CheckDefaultMode(source.downwardapi(), path / "downwardAPI", errors);
    for (const auto& file : source.downwardapi().items()) {
      ValidateDownwardFile(file, path / "downwardAPI", errors);
    }
  } else if (first == "projected") {
    ValidateProjected(source.projected(), path / "projected", errors);
  } else if (first == "image") {
    if (is_pod && source.image().reference().empty()) {
      errors.Required(path / "image" / "reference");
    }
    ValidatePullPolicy(source.image().pullpolicy(), path / "image" / "pullPolicy", errors);
  } else {
    ValidateNetworkSource(volume, pod_name, path, errors);
  }
}

}  // namespace

void CheckNoBacksteps(const Path& path, std::string_view value, ErrorList& errors) {
  std::string_view rest = value;
  while (true) {
    const std::size_t slash = rest.find('/');
    if (rest.substr(0, slash) == "..") {
      errors.Invalid(path, value, "must not contain '..'");
      return;
    }
    if (slash == std::string_view::npos) {
      return;
    }
    rest.remove_prefix(slash + 1);
  }
}

void CheckRelativePath(const Path& path, std::string_view value, ErrorList& errors) {
  if (value.starts_with('/')) {
    errors.Invalid(path, value, "must be a relative path");
  }
  CheckNoBacksteps(path, value, errors);
}

void CheckVolumeFilePath(const Path& path, std::string_view value, ErrorList& errors) {
  CheckRelativePath(path, value, errors);
  if (value.starts_with("..") && value != ".." && !value.starts_with("../")) {
    errors.Invalid(path, value, "must not start with '..'");
  }
}

void ValidatePullPolicy(std::string_view policy, const Path& path, ErrorList& errors) {
  if (policy.empty()) {
    errors.Required(path);
  } else {
    errors.CheckOneOf(path, policy, {"Always", "IfNotPresent", "Never"});
  }
}

void ValidateVolumes(const corev1::PodSpec& spec, std::string_view pod_name, const Path& path, PodContext& context,
                     ErrorList& errors) {
  std::set<std::string, std::less<>> created_claims;
  if (!pod_name.empty()) {
    for (const auto& volume : spec.volumes()) {
      if (volume.volumesource().has_ephemeral()) {
        created_claims.insert(std::string(pod_name) + "-" + volume.name());
      }
    }
  }
  for (int i = 0; i < spec.volumes_size(); ++i) {
    const auto& volume = spec.volumes(i);
    const std::size_t before = errors.size();
    ValidateSource(volume, pod_name, context.is_pod, path[i], errors);
    if (volume.name().empty()) {
      errors.Required(path[i] / "name");
    } else {
      errors.Check(path[i] / "name", volume.name(), CheckDns1123Label(volume.name()));
    }
    if (context.volumes.contains(volume.name())) {
      errors.Duplicate(path[i] / "name", volume.name());
    }
    if (errors.size() == before) {
      context.volumes.emplace(volume.name(), &volume.volumesource());
    }
    const std::string& claim = volume.volumesource().persistentvolumeclaim().claimname();
    if (created_claims.contains(claim)) {
      errors.Invalid(path[i] / "persistentVolumeClaim" / "claimName", claim,
                     "must not reference a PVC that gets created for an ephemeral volume");
    }
  }
}

}  // namespace daemonsetd::model::validation
