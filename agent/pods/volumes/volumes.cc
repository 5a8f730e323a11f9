#include "agent/pods/volumes/volumes.h"

#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "agent/pods/files.h"
#include "agent/pods/user_namespaces.h"
#include "agent/pods/volumes/empty_dir.h"
#include "agent/pods/volumes/host_path.h"
#include "agent/pods/volumes/mount_table.h"
#include "agent/pods/volumes/object_volumes.h"
#include "agent/pods/volumes/remove_tree.h"
#include "agent/pods/volumes/sub_path.h"
#include "agent/pods/volumes/unsupported.h"

namespace daemonsetd::pods {
namespace {

Status SetUpOne(const PodPaths& paths, const corev1::Pod& pod, const corev1::Volume& volume,
                const ObjectFiles& objects) {
  const corev1::VolumeSource& source = volume.volumesource();
  if (source.has_hostpath()) return PrepareHostPath(source.hostpath());
  if (source.has_image()) return Ok();  // the runtime mounts it
  if (source.has_emptydir()) {
    const Result<std::string> path = paths.EmptyDir(volume.name());
    if (!path) return path.error();
    return PrepareEmptyDir(pod.spec(), source.emptydir(), *path);
  }
  if (FindObjectVolume(source)) {
    const auto files = objects.volumes.find(volume.name());
    return SetUpObjectVolume(paths, volume, files == objects.volumes.end() ? nullptr : &files->second, objects.now);
  }
  return UnsupportedVolume(volume);
}

// Where the files of this volume are; unset when it is not made of objects or not set up.
std::optional<std::string> PathWithFiles(const PodPaths& paths, const corev1::Volume& volume) {
  const std::optional<ObjectVolume> kind = FindObjectVolume(volume.volumesource());
  if (!kind) return std::nullopt;
  const Result<std::string> path = paths.Volume(kind->plugin, volume.name());
  if (!path || !HasFiles(*path)) return std::nullopt;
  return *path;
}

enum class MountKind {
  kMedium,          // of an emptyDir (Memory or HugePages) or of a volume made of secrets
  kSubPath,         // bound by BindSubPath
  kBeneathSubPath,  // came along from the volume; goes with its subPath
  kForeign,
};

// The number of slashes in `path` after `prefix`; unset when it does not begin with that.
std::optional<std::ptrdiff_t> DepthBeneath(const std::string& path, const std::string& prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  return std::count(path.begin() + static_cast<std::ptrdiff_t>(prefix.size()), path.end(), '/');
}

// By the place alone, which is the agent's: nobody else mounts there.
MountKind KindOf(const MountEntry& mount, const std::string& pod_directory) {
  constexpr std::ptrdiff_t kSubPathDepth = 2;  // <volume>/<container>/<index>
  const auto sub_path = DepthBeneath(mount.path, fmt::format("{}/{}/", pod_directory, kSubPaths));
  if (sub_path == kSubPathDepth) return MountKind::kSubPath;
  if (sub_path && *sub_path > kSubPathDepth) return MountKind::kBeneathSubPath;
  const bool is_medium = mount.file_system == "tmpfs" || mount.file_system == "hugetlbfs";
  for (const std::string_view plugin : {kEmptyDirPlugin, kSecretPlugin, kProjectedPlugin}) {
    const auto volume = DepthBeneath(mount.path, fmt::format("{}/volumes/{}/", pod_directory, plugin));
    if (is_medium && volume == 0) return MountKind::kMedium;
  }
  return MountKind::kForeign;
}

Status Unmount(const MountEntry& mount, MountKind kind) {
  if (kind == MountKind::kBeneathSubPath) return Ok();
  if (kind == MountKind::kSubPath) return UnbindSubPath(mount.path);
  // EINVAL: no longer a mount point.
  if (::umount2(mount.path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) {
    return SystemError("umount " + mount.path, errno);
  }
  return Ok();
}

}  // namespace

std::set<std::string> MountedVolumes(const corev1::PodSpec& spec) {
  std::set<std::string> names;
  for (const auto* containers : {&spec.containers(), &spec.initcontainers()}) {
    for (const corev1::Container& container : *containers) {
      for (const corev1::VolumeMount& mount : container.volumemounts()) names.insert(mount.name());
    }
  }
  return names;
}

Status SetUpVolumes(const Directories& directories, const corev1::Pod& pod, const ObjectFiles& objects) {
  const Result<PodPaths> paths = PodPaths::For(directories, pod);
  if (!paths) return paths.error();
  const std::set<std::string> wanted = MountedVolumes(pod.spec());
  for (const corev1::Volume& volume : pod.spec().volumes()) {
    if (!wanted.contains(volume.name())) continue;
    if (const Status status = SetUpOne(*paths, pod, volume, objects); !status) {
      return status.error().WithContext(fmt::format("volume {}", volume.name()));
    }
  }
  return Ok();
}

Status RefreshVolumes(const Directories& directories, const corev1::Pod& pod, const ObjectFiles& objects) {
  const Result<PodPaths> paths = PodPaths::For(directories, pod);
  if (!paths) return paths.error();
  Status first = Ok();
  for (const corev1::Volume& volume : pod.spec().volumes()) {
    const auto files = objects.volumes.find(volume.name());
    if (files == objects.volumes.end()) continue;
    const std::optional<std::string> path = PathWithFiles(*paths, volume);
    if (!path) continue;
    const Result<bool> updated = UpdateFiles(*path, files->second, objects.now);
    if (!updated && first) first = updated.error().WithContext(fmt::format("volume {}", volume.name()));
  }
  return first;
}

bool VolumeHasFiles(const Directories& directories, const corev1::Pod& pod, const std::string& volume) {
  const Result<PodPaths> paths = PodPaths::For(directories, pod);
  if (!paths) return false;
  return std::any_of(pod.spec().volumes().begin(), pod.spec().volumes().end(), [&](const corev1::Volume& candidate) {
    return candidate.name() == volume && PathWithFiles(*paths, candidate).has_value();
  });
}

Status TearDownVolumes(const Directories& directories, const std::string& pod_uid) {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(pod_uid, "pod UID"));
  // Before the pod's directory goes: after a crash in between, that still tells of a pod to take down.
  DAEMONSETD_RETURN_IF_ERROR(ReleaseIds(directories, pod_uid));
  // The root may be behind a symbolic link; the pod's own directory never is, and one there is removed, not followed.
  const Result<std::string> root = RealPath(PodsDirectory(directories));
  if (!root && root.error().kind() == ErrorKind::kAbsent) return Ok();
  if (!root) return root.error();
  const std::string directory = *root + "/" + pod_uid;
  const Result<std::vector<MountEntry>> mounts = MountsBeneath(directory);
  if (!mounts) return mounts.error();

  // Detaching a mount would detach what others mounted inside it too, so look at all of them first.
  for (const MountEntry& mount : *mounts) {
    if (KindOf(mount, directory) == MountKind::kForeign) {
      return Error(ErrorKind::kConflict,
                   fmt::format("{} ({}) is mounted inside the pod's directory and is not ours; nothing was removed. "
                               "Unmount it: umount {}",
                               mount.path, mount.file_system, mount.path));
    }
  }
  for (auto mount = mounts->rbegin(); mount != mounts->rend(); ++mount) {
    DAEMONSETD_RETURN_IF_ERROR(Unmount(*mount, KindOf(*mount, directory)));
  }
  return RemoveTree(directory, kPodMark);
}

Volumes::Volumes(Directories directories, async::BlockingPool& pool)
    : directories_(std::move(directories)), pool_(pool) {}

Task<Status> Volumes::SetUp(corev1::Pod pod, ObjectFiles objects) {
  const auto shared = std::make_shared<const corev1::Pod>(std::move(pod));
  const auto files = std::make_shared<const ObjectFiles>(std::move(objects));
  std::function<Status()> work = [directories = directories_, shared, files] {
    return SetUpVolumes(directories, *shared, *files);
  };
  co_return co_await pool_.Run(std::move(work));
}

Task<Status> Volumes::Refresh(corev1::Pod pod, ObjectFiles objects) {
  const auto shared = std::make_shared<const corev1::Pod>(std::move(pod));
  const auto files = std::make_shared<const ObjectFiles>(std::move(objects));
  std::function<Status()> work = [directories = directories_, shared, files] {
    return RefreshVolumes(directories, *shared, *files);
  };
  co_return co_await pool_.Run(std::move(work));
}

Task<bool> Volumes::HasFiles(corev1::Pod pod, std::string volume) {
  const auto shared = std::make_shared<const corev1::Pod>(std::move(pod));
  const auto has = std::make_shared<bool>(false);
  std::function<Status()> work = [directories = directories_, shared, volume = std::move(volume), has] {
    *has = VolumeHasFiles(directories, *shared, volume);
    return Ok();
  };
  const Status done = co_await pool_.Run(std::move(work));
  co_return done && *has;
}

Task<Status> Volumes::TearDown(std::string pod_uid) {
  std::function<Status()> work = [directories = directories_, uid = std::move(pod_uid)] {
    return TearDownVolumes(directories, uid);
  };
  co_return co_await pool_.Run(std::move(work));
}

Task<Result<std::vector<::runtime::v1::Mount>>> Volumes::Mounts(corev1::Pod pod, corev1::Container container,
                                                                MountInputs inputs) {
  std::function<Result<std::vector<::runtime::v1::Mount>>()> work =
      std::bind(ContainerMounts, directories_, std::move(pod), std::move(container), std::move(inputs));
  co_return co_await pool_.Compute(std::move(work));
}

}  // namespace daemonsetd::pods
