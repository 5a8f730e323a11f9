#include "agent/pods/volumes/object_volumes.h"

#include "agent/pods/files.h"
#include "agent/pods/volumes/memory_medium.h"

namespace daemonsetd::pods {
namespace {

constexpr mode_t kParentMode = 0750;
constexpr mode_t kVolumeMode = 0755;

// Linux 6.4 and later keep it out of the swap; older ones do not know the word.
Status MountMemory(const std::string& path) {
  const Status locked = MountOnce(path, "tmpfs", "mode=0755,noswap");
  if (locked || locked.error().kind() != ErrorKind::kInvalid) return locked;
  return MountOnce(path, "tmpfs", "mode=0755");
}

}  // namespace

std::optional<ObjectVolume> FindObjectVolume(const corev1::VolumeSource& source) {
  if (source.has_configmap()) return ObjectVolume{.plugin = "kubernetes.io~configmap", .in_memory = false};
  if (source.has_secret()) return ObjectVolume{.plugin = kSecretPlugin, .in_memory = true};
  if (source.has_downwardapi()) return ObjectVolume{.plugin = "kubernetes.io~downward-api", .in_memory = false};
  if (source.has_projected()) return ObjectVolume{.plugin = kProjectedPlugin, .in_memory = true};
  return std::nullopt;
}

Status PrepareObjectVolume(const ObjectVolume& kind, const std::string& path) {
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(path.substr(0, path.rfind('/')), kParentMode));
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(path, kVolumeMode));
  return kind.in_memory ? MountMemory(path) : Ok();
}

Status SetUpObjectVolume(const PodPaths& paths, const corev1::Volume& volume, const WantedFiles* files, WallTime now) {
  const std::optional<ObjectVolume> kind = FindObjectVolume(volume.volumesource());
  if (!kind) return Error(ErrorKind::kFatal, "is not a volume made of objects");
  const Result<std::string> path = paths.Volume(kind->plugin, volume.name());
  if (!path) return path.error();
  DAEMONSETD_RETURN_IF_ERROR(PrepareObjectVolume(*kind, *path));
  if (files == nullptr) return HasFiles(*path) ? Ok() : Error(ErrorKind::kRetry, "its files are not known yet");
  const Result<bool> updated = UpdateFiles(*path, *files, now);
  if (!updated) return updated.error();
  return Ok();
}

}  // namespace daemonsetd::pods
