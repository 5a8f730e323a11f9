#include "agent/pods/sandbox_dirs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <fmt/format.h>

#include "agent/pods/files.h"
#include "agent/pods/volumes/remove_tree.h"

namespace daemonsetd::pods {
namespace {

// Two names of at most 253 characters.
constexpr std::size_t kMarkLimit = 1024;
constexpr char kUnknown[] = "unknown";

// Not by WriteFileAtomically: being there is what counts, and a file with another name would not be known.
Status WriteMark(const std::string& pod_directory, const corev1::Pod& pod) {
  const std::string path = fmt::format("{}/{}", pod_directory, kPodMark);
  const std::string text = fmt::format("{}\n{}\n", pod.metadata().namespace_(), pod.metadata().name());
  if (const auto present = ReadSmallFile(path, kMarkLimit); present && *present == text) return Ok();
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return SystemError("create " + path, errno);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return SystemError("write " + path, errno);
  }
  return Ok();
}

bool IsDirectory(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// A loss of power may have kept the file and not its content.
void ReadMark(const std::string& text, FoundPodDirectory& found) {
  const std::size_t first = text.find('\n');
  const std::size_t second = first == std::string::npos ? first : text.find('\n', first + 1);
  found.name_space = found.name = kUnknown;
  if (second == std::string::npos) return;
  const std::string name_space = text.substr(0, first);
  const std::string name = text.substr(first + 1, second - first - 1);
  if (!CheckPathComponent(name_space, "namespace") || !CheckPathComponent(name, "pod name")) return;
  found.name_space = name_space;
  found.name = name;
}

}  // namespace

Result<std::vector<FoundPodDirectory>> FindPodDirectories(const Directories& directories) {
  const std::string root = PodsDirectory(directories);
  const Result<std::vector<std::string>> uids = ListDirectory(root);
  if (!uids) return uids.error();
  std::vector<FoundPodDirectory> found;
  for (const std::string& uid : *uids) {
    const std::string path = root + "/" + uid;
    if (!IsDirectory(path)) continue;
    const Result<std::vector<std::string>> names = ListDirectory(path);
    if (!names) return names.error();
    FoundPodDirectory& directory = found.emplace_back();
    directory.uid = uid;
    directory.empty = names->empty();
    const Result<std::string> mark = ReadSmallFile(fmt::format("{}/{}", path, kPodMark), kMarkLimit);
    directory.ours = mark.has_value();
    ReadMark(mark ? *mark : std::string(), directory);
  }
  return found;
}

Status MakePodDirectories(const PodPaths& paths, const corev1::Pod& pod) {
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(paths.pod_directory(), 0750));
  DAEMONSETD_RETURN_IF_ERROR(WriteMark(paths.pod_directory(), pod));
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
