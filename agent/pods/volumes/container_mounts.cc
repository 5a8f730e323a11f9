#include "agent/pods/volumes/container_mounts.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/pods/volumes/object_volumes.h"
#include "agent/pods/volumes/sub_path.h"
#include "agent/pods/volumes/unsupported.h"

namespace daemonsetd::pods {

namespace v1 = ::runtime::v1;

namespace {

constexpr char kEtcHosts[] = "/etc/hosts";

const corev1::Volume* FindVolume(const corev1::PodSpec& spec, const std::string& name) {
  for (const corev1::Volume& volume : spec.volumes()) {
    if (volume.name() == name) return &volume;
  }
  return nullptr;
}

Result<std::string> VolumePath(const PodPaths& paths, const corev1::Volume& volume) {
  if (volume.volumesource().has_hostpath()) return volume.volumesource().hostpath().path();
  if (volume.volumesource().has_emptydir()) return paths.EmptyDir(volume.name());
  if (const auto kind = FindObjectVolume(volume.volumesource())) return paths.Volume(kind->plugin, volume.name());
  return UnsupportedVolume(volume);
}

std::string ContainerPath(const corev1::VolumeMount& mount) {
  return mount.mountpath().starts_with("/") ? mount.mountpath() : "/" + mount.mountpath();
}

Status SetPropagation(const corev1::VolumeMount& from, v1::Mount& to) {
  const std::string& mode = from.mountpropagation();
  if (mode.empty() || mode == "None") {
    to.set_propagation(v1::MountPropagation::PROPAGATION_PRIVATE);
  } else if (mode == "HostToContainer") {
    to.set_propagation(v1::MountPropagation::PROPAGATION_HOST_TO_CONTAINER);
  } else if (mode == "Bidirectional") {
    to.set_propagation(v1::MountPropagation::PROPAGATION_BIDIRECTIONAL);
  } else {
    return Error(ErrorKind::kInvalid, fmt::format("mountPropagation {} is unknown", mode));
  }
  return Ok();
}

Status SetRecursiveReadOnly(const corev1::VolumeMount& from, bool available, v1::Mount& to) {
  const std::string& mode = from.recursivereadonly();
  if (mode.empty() || mode == "Disabled" || (mode == "IfPossible" && !available)) return Ok();
  if (!from.readonly()) {
    return Error(ErrorKind::kInvalid, fmt::format("recursiveReadOnly {} needs readOnly: true", mode));
  }
  if (mode != "Enabled" && mode != "IfPossible") {
    return Error(ErrorKind::kInvalid, fmt::format("recursiveReadOnly {} is unknown", mode));
  }
  if (!available) {
    return Error(ErrorKind::kUnsupported,
                 "recursiveReadOnly Enabled: the runtime cannot do it; use IfPossible or another runtime");
  }
  to.set_recursive_read_only(true);
  return Ok();
}

// The agent alone fills the others, so containers see them read-only and a name that is missing there is not made.
bool IsWritable(const corev1::VolumeSource& source) { return source.has_hostpath() || source.has_emptydir(); }

// Binds the part of the volume to a path of the pod's own, and answers that path.
Result<std::string> PinSubPath(const std::string& volume_path, const corev1::Volume& volume,
                               const std::string& sub_path, const corev1::VolumeMount& mount,
                               const std::string& target) {
  const MissingSubPath missing =
      IsWritable(volume.volumesource()) ? MissingSubPath::kMakeDirectories : MissingSubPath::kFail;
  const Result<Descriptor> source = OpenSubPath(volume_path, sub_path, missing);
  if (!source) return source.error();
  const SubPathMounts mounts =
      mount.mountpropagation() == "Bidirectional" ? SubPathMounts::kShare : SubPathMounts::kReceive;
  DAEMONSETD_RETURN_IF_ERROR(BindSubPath(*source, target, mounts));
  return target;
}

// The runtime mounts the image, read-only, and finds the part of it by itself.
Result<v1::Mount> ToImageMount(const corev1::VolumeMount& from, const std::string& sub_path,
                               const MountInputs& inputs) {
  const auto image = inputs.images.find(from.name());
  if (image == inputs.images.end()) return Error(ErrorKind::kRetry, "the volume's image is not here yet");
  v1::Mount mount;
  *mount.mutable_image() = image->second;
  mount.set_image_sub_path(sub_path);
  mount.set_container_path(ContainerPath(from));
  mount.set_readonly(true);
  return mount;
}

Result<std::string> SubPathOf(const corev1::VolumeMount& from, const MountInputs& inputs) {
  if (from.subpathexpr().empty()) return from.subpath();
  const Result<std::string> expanded = ExpandStrictly(from.subpathexpr(), inputs.envs);
  if (!expanded) return expanded.error().WithContext("subPathExpr");
  return expanded;
}

// `index`: of `from` in the container's volumeMounts.
Result<v1::Mount> ToMount(const PodPaths& paths, const corev1::Pod& pod, const corev1::Container& container,
                          std::size_t index, const MountInputs& inputs) {
  const corev1::VolumeMount& from = container.volumemounts(static_cast<int>(index));
  const corev1::Volume* volume = FindVolume(pod.spec(), from.name());
  if (volume == nullptr) return Error(ErrorKind::kInvalid, "the pod has no volume of that name");
  const Result<std::string> sub_path = SubPathOf(from, inputs);
  if (!sub_path) return sub_path.error();
  if (volume->volumesource().has_image()) return ToImageMount(from, *sub_path, inputs);
  Result<std::string> host_path = VolumePath(paths, *volume);
  if (!host_path) return host_path.error();
  if (!from.subpathexpr().empty() || !from.subpath().empty()) {
    const Result<std::string> target = paths.SubPath(from.name(), container.name(), index);
    if (!target) return target.error();
    host_path = PinSubPath(*host_path, *volume, *sub_path, from, *target);
    if (!host_path) return host_path.error();
  }

  v1::Mount mount;
  mount.set_host_path(*host_path);
  mount.set_container_path(ContainerPath(from));
  mount.set_readonly(from.readonly() || !IsWritable(volume->volumesource()));
  mount.set_selinux_relabel(!volume->volumesource().has_hostpath());  // the node's own files keep their labels
  for (const std::string& option : from.bindmountoptions()) mount.add_mount_options(option);
  DAEMONSETD_RETURN_IF_ERROR(SetPropagation(from, mount));
  DAEMONSETD_RETURN_IF_ERROR(SetRecursiveReadOnly(from, inputs.recursive_read_only, mount));
  return mount;
}

v1::Mount FileMount(const std::string& host_path, const std::string& container_path) {
  v1::Mount mount;
  mount.set_host_path(host_path);
  mount.set_container_path(container_path);
  mount.set_selinux_relabel(true);
  return mount;
}

}  // namespace

std::vector<const corev1::Volume*> ImageVolumes(const corev1::PodSpec& spec, const corev1::Container& container) {
  std::vector<const corev1::Volume*> volumes;
  for (const corev1::Volume& volume : spec.volumes()) {
    const bool is_mounted = std::any_of(container.volumemounts().begin(), container.volumemounts().end(),
                                        [&volume](const auto& mount) { return mount.name() == volume.name(); });
    if (volume.volumesource().has_image() && is_mounted) volumes.push_back(&volume);
  }
  return volumes;
}

Result<std::vector<v1::Mount>> ContainerMounts(const Directories& directories, const corev1::Pod& pod,
                                               const corev1::Container& container, const MountInputs& inputs) {
  const std::string context = fmt::format("container {}", container.name());
  const Result<PodPaths> paths = PodPaths::For(directories, pod);
  if (!paths) return paths.error();
  if (container.volumedevices_size() > 0) {
    return Error(ErrorKind::kUnsupported, context + ": volumeDevices are not supported yet");
  }

  std::vector<v1::Mount> mounts;
  bool has_hosts = false;
  for (int i = 0; i < container.volumemounts_size(); ++i) {
    const corev1::VolumeMount& from = container.volumemounts(i);
    Result<v1::Mount> mount = ToMount(*paths, pod, container, static_cast<std::size_t>(i), inputs);
    if (!mount) {
      return mount.error().WithContext(fmt::format("{}: volumeMount {} at {}", context, from.name(), from.mountpath()));
    }
    has_hosts = has_hosts || mount->container_path() == kEtcHosts;
    mounts.push_back(std::move(*mount));
  }
  if (inputs.mount_hosts_file && !has_hosts) mounts.push_back(FileMount(paths->etc_hosts(), kEtcHosts));
  if (!container.terminationmessagepath().empty()) {
    const Result<std::string> file = paths->TerminationLog(container.name(), inputs.token);
    if (!file) return file.error().WithContext(context);
    mounts.push_back(FileMount(*file, container.terminationmessagepath()));
  }
  return mounts;
}

}  // namespace daemonsetd::pods
