#include "agent/pods/volumes/unsupported.h"

#include <string>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

namespace daemonsetd::pods {
namespace {

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
  if (source.has_persistentvolumeclaim()) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("PersistentVolumeClaim {}: persistent volumes are not supported yet",
                             source.persistentvolumeclaim().claimname()));
  }
  const std::string name = SourceName(source);
  if (name.empty()) return Error(ErrorKind::kInvalid, "names no volume source");
  return Error(ErrorKind::kUnsupported, fmt::format("volumes of kind {} are not supported yet", name));
}

}  // namespace daemonsetd::pods
