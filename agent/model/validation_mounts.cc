#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

void ValidatePropagation(const corev1::VolumeMount& mount, const corev1::Container& container, const Path& path,
                         ErrorList& errors) {
  if (mount.has_mountpropagation()) {
    const std::string& mode = mount.mountpropagation();
    errors.CheckOneOf(path / "mountPropagation", mode, {"Bidirectional", "HostToContainer", "None"});
    if (mode == "Bidirectional" && !container.securitycontext().privileged()) {
      errors.Forbidden(path / "mountPropagation",
                       "Bidirectional mount propagation is available only to privileged containers");
    }
  }
  if (!mount.has_recursivereadonly()) {
    return;
  }
  const Path at = path / "recursiveReadOnly";
  const std::string& mode = mount.recursivereadonly();
  errors.CheckOneOf(at, mode, {"Disabled", "Enabled", "IfPossible"});
  if (mode != "Enabled" && mode != "IfPossible") {
    return;
  }
  if (!mount.readonly()) {
    errors.Forbidden(at, "may only be specified when readOnly is true");
  }
  if (mount.has_mountpropagation() && mount.mountpropagation() != "None") {
    errors.Forbidden(at, "may only be specified when mountPropagation is None or not specified");
  }
}

void ValidateSubPaths(const corev1::VolumeMount& mount, const corev1::VolumeSource* volume, const Path& list_path,
                      const Path& path, ErrorList& errors) {
  if (volume != nullptr && volume->has_image()) {
    if (!mount.subpath().empty()) {
      errors.Invalid(path / "subPath", mount.subpath(), "not allowed in image volume sources");
    }
    if (!mount.subpathexpr().empty()) {
      errors.Invalid(path / "subPathExpr", mount.subpathexpr(), "not allowed in image volume sources");
    }
  }
  CheckRelativePath(list_path / "subPath", mount.subpath(), errors);
  if (!mount.subpathexpr().empty() && !mount.subpath().empty()) {
    errors.Invalid(path / "subPathExpr", mount.subpathexpr(), "subPathExpr and subPath are mutually exclusive");
  }
  CheckRelativePath(list_path / "subPathExpr", mount.subpathexpr(), errors);
}

const corev1::VolumeSource* FindVolume(const PodContext& context, std::string_view name) {
  const auto it = context.volumes.find(name);
  return it == context.volumes.end() ? nullptr : it->second;
}

}  // namespace

void ValidateVolumeMounts(const corev1::Container& container, const PodContext& context, const Path& path,
                          ErrorList& errors) {
  std::set<std::string_view> device_names;
  std::set<std::string_view> device_paths;
  for (const auto& device : container.volumedevices()) {
    device_names.insert(device.name());
    device_paths.insert(device.devicepath());
  }
  std::set<std::string_view> mount_paths;
  for (int i = 0; i < container.volumemounts_size(); ++i) {
    const auto& mount = container.volumemounts(i);
    const Path at = path[i];
    const corev1::VolumeSource* volume = FindVolume(context, mount.name());
    if (mount.name().empty()) {
      errors.Required(at / "name");
    }
    if (volume == nullptr) {
      errors.NotFound(at / "name", mount.name());
    }
    if (mount.mountpath().empty()) {
      errors.Required(at / "mountPath");
    }
    if (!mount_paths.insert(mount.mountpath()).second) {
      errors.Invalid(at / "mountPath", mount.mountpath(), "must be unique");
    }
    if (device_names.contains(mount.name())) {
      errors.Invalid(at / "name", mount.name(), "must not already exist in volumeDevices");
    }
    if (device_paths.contains(mount.mountpath())) {
      errors.Invalid(at / "mountPath", mount.mountpath(), "must not already exist as a path in volumeDevices");
    }
    ValidateSubPaths(mount, volume, path, at, errors);
    ValidatePropagation(mount, container, path, errors);
    for (int j = 0; j < mount.bindmountoptions_size(); ++j) {
      errors.CheckOneOf((at / "bindMountOptions")[j], mount.bindmountoptions(j), {"nodev", "noexec", "nosuid"});
    }
  }
}

void ValidateVolumeDevices(const corev1::Container& container, const PodContext& context, const Path& path,
                           ErrorList& errors) {
  std::set<std::string_view> mount_names;
  std::set<std::string_view> mount_paths;
  for (const auto& mount : container.volumemounts()) {
    mount_names.insert(mount.name());
    mount_paths.insert(mount.mountpath());
  }
  std::set<std::string_view> names;
  std::set<std::string_view> paths;
  for (int i = 0; i < container.volumedevices_size(); ++i) {
    const auto& device = container.volumedevices(i);
    const Path at = path[i];
    const corev1::VolumeSource* volume = FindVolume(context, device.name());
    if (device.name().empty()) {
      errors.Required(at / "name");
    } else if (!names.insert(device.name()).second) {
      errors.Invalid(at / "name", device.name(), "must be unique");
    }
    if (volume == nullptr) {
      errors.NotFound(at / "name", device.name());
    } else if (!volume->has_persistentvolumeclaim() && !volume->has_ephemeral()) {
      errors.Invalid(at / "name", device.name(),
                     "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    }
    if (device.devicepath().empty()) {
      errors.Required(at / "devicePath");
    }
    ErrorList backsteps;
    CheckNoBacksteps(at / "devicePath", device.devicepath(), backsteps);
    if (backsteps.size() > 0) {
      errors.Invalid(at / "devicePath", device.devicepath(), "can not contain backsteps ('..')");
    } else if (!paths.insert(device.devicepath()).second) {
      errors.Invalid(at / "devicePath", device.devicepath(), "must be unique");
    }
    if (mount_names.contains(device.name())) {
      errors.Invalid(at / "name", device.name(), "must not already exist in volumeMounts");
    }
    if (mount_paths.contains(device.devicepath())) {
      errors.Invalid(at / "devicePath", device.devicepath(), "must not already exist as a path in volumeMounts");
    }
  }
}

}  // namespace daemonsetd::model::validation
