// Where a pod's files are on this node. The one place that makes these paths; the layout is the kubelet's, because log
// collectors, CNI and CSI DaemonSets mount parts of it.
//
//   <pod_root>/                                         /var/lib/kubelet
//     pods/<uid>/
//       etc-hosts                                       mounted at /etc/hosts
//       volumes/kubernetes.io~empty-dir/<volume>/       emptyDir; a tmpfs mount when its medium is Memory
//       volumes/<plugin>/<volume>/                      configMap, secret, ... (volumes/object_volumes.h)
//       volume-subpaths/<volume>/<container>/<index>    subPath of the container's volumeMount of that index, bound
//       here containers/<container>/<token>                  termination message; the token is the attempt number
//   <log_root>/                                         /var/log/pods
//     <namespace>_<pod>_<uid>/<container>/<attempt>.log
//   <container_log_dir>/                                /var/log/containers
//     <pod>_<namespace>_<container>-<container ID>.log  symlink to the log
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// Absolute paths without a trailing slash.
struct Directories {
  std::string pod_root = "/var/lib/kubelet";
  std::string log_root = "/var/log/pods";
  std::string container_log_dir = "/var/log/containers";
};

// kInvalid unless `name` is one path component that the file system takes: not empty, ".", "..", longer than 255 bytes,
// and without '/' and NUL. `what` names it in the error ("pod UID", "volume name").
Status CheckPathComponent(std::string_view name, std::string_view what);

// <pod_root>/pods/<uid>, for callers that have no more than a UID (tear-down of an orphan).
Result<std::string> PodDirectory(const Directories& directories, std::string_view uid);
// <pod_root>/pods: its entries are the UIDs that have files here.
std::string PodsDirectory(const Directories& directories);

// The paths of one pod. Every name that becomes a path component is checked, even though validation did so before.
class PodPaths {
 public:
  // kInvalid when the namespace, name or UID cannot be a path component, or when the log directory's name is too long.
  static Result<PodPaths> For(const Directories& directories, const corev1::Pod& pod);

  const std::string& pod_directory() const { return pod_directory_; }
  const std::string& log_directory() const { return log_directory_; }  // PodSandboxConfig.log_directory
  std::string volumes_directory() const { return pod_directory_ + "/volumes"; }
  std::string etc_hosts() const { return pod_directory_ + "/etc-hosts"; }

  Result<std::string> EmptyDir(std::string_view volume) const;
  // Of another kind of volume, by its plugin's directory: "kubernetes.io~configmap".
  Result<std::string> Volume(std::string_view plugin, std::string_view volume) const;
  Result<std::string> SubPath(std::string_view volume, std::string_view container, std::size_t index) const;
  Result<std::string> ContainerDirectory(std::string_view container) const;
  Result<std::string> TerminationLog(std::string_view container, std::string_view token) const;
  Result<std::string> ContainerLogDirectory(std::string_view container) const;
  // "<container>/<attempt>.log": ContainerConfig.log_path, relative to log_directory().
  Result<std::string> RelativeLogPath(std::string_view container, std::uint32_t attempt) const;
  Result<std::string> LogPath(std::string_view container, std::uint32_t attempt) const;
  // The link's path. The name is cut as the kubelet cuts it, so that it has at most 255 bytes.
  Result<std::string> LogLink(std::string_view container, std::string_view container_id) const;

 private:
  PodPaths() = default;

  std::string pod_directory_;
  std::string log_directory_;
  std::string container_log_dir_;
  std::string full_name_;  // "<pod>_<namespace>"
};

inline constexpr std::string_view kEmptyDirPlugin = "kubernetes.io~empty-dir";
inline constexpr std::string_view kSubPaths = "volume-subpaths";
// In a pod's directory: that it is ours, and whose it is (sandbox_dirs.h).
inline constexpr std::string_view kPodMark = ".daemonsetd";
inline constexpr std::size_t kMaxFileName = 255;

}  // namespace daemonsetd::pods
