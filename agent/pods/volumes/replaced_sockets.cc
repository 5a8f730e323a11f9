#include "agent/pods/volumes/replaced_sockets.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

namespace daemonsetd::pods {

std::vector<MountedSocket> PossibleSockets(const corev1::Pod& pod, const decide::ObservedPod& observed) {
  std::map<std::string, std::string> paths;  // by volume
  for (const corev1::Volume& volume : pod.spec().volumes()) {
    const auto& source = volume.volumesource().hostpath();
    if (!volume.volumesource().has_hostpath() || (!source.type().empty() && source.type() != "Socket")) continue;
    paths[volume.name()] = source.path();
  }
  std::vector<MountedSocket> found;
  if (paths.empty()) return found;
  const auto add = [&](const std::string& name, const corev1::VolumeMount& mount) {
    const auto path = paths.find(mount.name());
    if (path == paths.end() || !mount.subpath().empty() || !mount.subpathexpr().empty()) return;
    for (const decide::ObservedContainer& container : observed.containers) {
      const auto& status = container.status;
      if (status.metadata().name() != name || status.state() != ::runtime::v1::CONTAINER_RUNNING) continue;
      found.push_back({.pod_uid = pod.metadata().uid(),
                       .container = name,
                       .container_id = status.id(),
                       .path = path->second,
                       .since = WallTime(Nanoseconds(status.created_at()))});
    }
  };
  for (const auto* containers : {&pod.spec().initcontainers(), &pod.spec().containers()}) {
    for (const corev1::Container& container : *containers) {
      for (const corev1::VolumeMount& mount : container.volumemounts()) add(container.name(), mount);
    }
  }
  return found;
}

bool IsReplaced(const MountedSocket& socket) {
  struct statx status{};
  if (::statx(AT_FDCWD, socket.path.c_str(), 0, STATX_TYPE | STATX_BTIME, &status) != 0) return false;
  if (!S_ISSOCK(status.stx_mode) || (status.stx_mask & STATX_BTIME) == 0) return false;
  return WallTime(Seconds(status.stx_btime.tv_sec) + Nanoseconds(status.stx_btime.tv_nsec)) > socket.since;
}

}  // namespace daemonsetd::pods
