#include "agent/pods/sandbox_dirs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "agent/pods/files.h"
#include "agent/pods/volumes/remove_tree.h"

namespace daemonsetd::pods {

Status MakePodDirectories(const PodPaths& paths) {
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(paths.pod_directory(), 0750));
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(paths.volumes_directory(), 0750));
  return MakeDirectories(paths.log_directory(), 0755);
}

Status MakeContainerFiles(const PodPaths& paths, const corev1::Container& container, const std::string& token) {
  const Result<std::string> log_directory = paths.ContainerLogDirectory(container.name());
  if (!log_directory) return log_directory.error();
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(*log_directory, 0755));
  if (container.terminationmessagepath().empty()) return Ok();

  const Result<std::string> directory = paths.ContainerDirectory(container.name());
  if (!directory) return directory.error();
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(*directory, 0750));
  const Result<std::string> file = paths.TerminationLog(container.name(), token);
  if (!file) return file.error();
  const Descriptor opened(::open(file->c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!opened) return SystemError("create " + *file, errno);
  if (::fchmod(opened.get(), 0666) != 0) return SystemError("chmod " + *file, errno);
  return Ok();
}

Status RemovePodLogs(const PodPaths& paths) { return RemoveTree(paths.log_directory()); }

}  // namespace daemonsetd::pods
