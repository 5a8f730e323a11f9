// Sockets of the host that were replaced under a running container, as a daemon does when it starts again: a mount of
// the socket's file keeps the old one, to which nobody answers (VO-04). A mount of its directory has no such trouble.
#pragma once

#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/observed.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

struct MountedSocket {
  std::string pod_uid;
  std::string container;
  std::string container_id;
  std::string path;  // on the host
  WallTime since;    // when the container was created
  bool operator==(const MountedSocket&) const = default;
};

// What running containers mount as a whole from hostPath volumes of type Socket or of none, which may be sockets. Pure.
std::vector<MountedSocket> PossibleSockets(const corev1::Pod& pod, const decide::ObservedPod& observed);

// Whether there is a socket at the path that was made after the container. Blocks. False where the file system does not
// keep the time of birth (ext4, xfs, btrfs do; tmpfs since Linux 5.19).
bool IsReplaced(const MountedSocket& socket);

}  // namespace daemonsetd::pods
