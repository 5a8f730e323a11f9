#include "agent/pods/volumes/unsupported.h"

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

namespace daemonsetd::pods {
namespace {

Error NeedsServer(std::string_view what) {
  return Error(ErrorKind::kAbsent, fmt::format("needs {}: no API server is configured", what));
}

// The JSON name of the source that is set; empty when none is.
std::string SourceName(const corev1::VolumeSource& source) {
  const google::protobuf::Descriptor* descriptor = corev1::VolumeSource::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    if (source.GetReflection()->HasField(source, descriptor->field(i))) return descriptor->field(i)->name();
  }
  return "";
}

}  // namespace

Error UnsupportedVolume(const corev1::Volume& volume) {
  const corev1::VolumeSource& source = volume.volumesource();
  if (source.has_configmap()) {
    return NeedsServer(fmt::format("ConfigMap {}", source.configmap().localobjectreference().name()));
  }
  if (source.has_secret()) return NeedsServer(fmt::format("Secret {}", source.secret().secretname()));
  if (source.has_persistentvolumeclaim()) {
    return NeedsServer(fmt::format("PersistentVolumeClaim {}", source.persistentvolumeclaim().claimname()));
  }
  if (source.has_projected()) return NeedsServer("the sources of a projected volume");
  const std::string name = SourceName(source);
  if (name.empty()) return Error(ErrorKind::kInvalid, "names no volume source");
  return Error(ErrorKind::kUnsupported, fmt::format("volumes of kind {} are not supported yet", name));
}

}  // namespace daemonsetd::pods
