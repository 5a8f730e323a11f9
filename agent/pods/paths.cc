#include "agent/pods/paths.h"

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

constexpr std::string_view kLogSuffix = ".log";

// A name in an error message: hostile names are long.
std::string Shown(std::string_view name) {
  constexpr std::size_t kShown = 64;
  return name.size() <= kShown ? fmt::format("\"{}\"", name) : fmt::format("\"{}...\"", name.substr(0, kShown));
}

}  // namespace

Status CheckPathComponent(std::string_view name, std::string_view what) {
  if (name.empty()) return Error(ErrorKind::kInvalid, fmt::format("{} is empty", what));
  if (name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return Error(ErrorKind::kInvalid, fmt::format("{} {} cannot be a file name", what, Shown(name)));
  }
  if (name.size() > kMaxFileName) {
    return Error(ErrorKind::kInvalid, fmt::format("{} {} has {} bytes; a file name may have {}", what, Shown(name),
                                                  name.size(), kMaxFileName));
  }
  return Ok();
}

std::string PodsDirectory(const Directories& directories) { return directories.pod_root + "/pods"; }

Result<std::string> PodDirectory(const Directories& directories, std::string_view uid) {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(uid, "pod UID"));
  return fmt::format("{}/{}", PodsDirectory(directories), uid);
}

Result<PodPaths> PodPaths::For(const Directories& directories, const corev1::Pod& pod) {
  const std::string& name = pod.metadata().name();
  const std::string& name_space = pod.metadata().namespace_();
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(name_space, "namespace"));
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(name, "pod name"));
  Result<std::string> pod_directory = PodDirectory(directories, pod.metadata().uid());
  if (!pod_directory) return pod_directory.error();
  const std::string log_name = fmt::format("{}_{}_{}", name_space, name, pod.metadata().uid());
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(log_name, "log directory <namespace>_<pod>_<uid>"));

  PodPaths paths;
  paths.pod_directory_ = *pod_directory;
  paths.log_directory_ = fmt::format("{}/{}", directories.log_root, log_name);
  paths.container_log_dir_ = directories.container_log_dir;
  paths.full_name_ = fmt::format("{}_{}", name, name_space);
  return paths;
}

Result<std::string> PodPaths::EmptyDir(std::string_view volume) const { return Volume(kEmptyDirPlugin, volume); }

Result<std::string> PodPaths::Volume(std::string_view plugin, std::string_view volume) const {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(volume, "volume name"));
  return fmt::format("{}/{}/{}", volumes_directory(), plugin, volume);
}

Result<std::string> PodPaths::SubPath(std::string_view volume, std::string_view container, std::size_t index) const {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(volume, "volume name"));
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(container, "container name"));
  return fmt::format("{}/{}/{}/{}/{}", pod_directory_, kSubPaths, volume, container, index);
}

Result<std::string> PodPaths::ContainerDirectory(std::string_view container) const {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(container, "container name"));
  return fmt::format("{}/containers/{}", pod_directory_, container);
}

Result<std::string> PodPaths::TerminationLog(std::string_view container, std::string_view token) const {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(token, "attempt token"));
  Result<std::string> directory = ContainerDirectory(container);
  if (!directory) return directory;
  return fmt::format("{}/{}", *directory, token);
}

Result<std::string> PodPaths::ContainerLogDirectory(std::string_view container) const {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(container, "container name"));
  return fmt::format("{}/{}", log_directory_, container);
}

Result<std::string> PodPaths::RelativeLogPath(std::string_view container, std::uint32_t attempt) const {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(container, "container name"));
  return fmt::format("{}/{}{}", container, attempt, kLogSuffix);
}

Result<std::string> PodPaths::LogPath(std::string_view container, std::uint32_t attempt) const {
  Result<std::string> relative = RelativeLogPath(container, attempt);
  if (!relative) return relative;
  return fmt::format("{}/{}", log_directory_, *relative);
}

Result<std::string> PodPaths::LogLink(std::string_view container, std::string_view container_id) const {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(container, "container name"));
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(container_id, "container ID"));
  std::string name = fmt::format("{}_{}-{}", full_name_, container, container_id);
  if (name.size() > kMaxFileName - kLogSuffix.size()) name.resize(kMaxFileName - kLogSuffix.size());
  return fmt::format("{}/{}{}", container_log_dir_, name, kLogSuffix);
}

}  // namespace daemonsetd::pods
