#include "agent/pods/cgroups/group_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <memory>
#include <thread>

#include "agent/base/text.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

// cgroup.procs of a group with as many processes as a machine has.
constexpr std::size_t kReadLimit = std::size_t{1} << 20;
constexpr mode_t kMode = 0755;
constexpr std::chrono::milliseconds kPause(25);

}  // namespace

bool KernelGroupFiles::Exists(const std::string& path) const { return ::access(path.c_str(), F_OK) == 0; }

Result<std::string> KernelGroupFiles::Read(const std::string& path) const { return ReadSmallFile(path, kReadLimit); }

Status KernelGroupFiles::Write(const std::string& path, std::string_view text) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return SystemError("open " + path, errno);
  ssize_t written = -1;
  do {
    written = ::write(file.get(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return SystemError("write " + std::string(text) + " to " + path, errno);
  return Ok();
}

Status KernelGroupFiles::Make(const std::string& directory) {
  if (::mkdir(directory.c_str(), kMode) == 0) {
    // Tools without privileges read what groups say of their pods, whatever our umask is.
    if (::chmod(directory.c_str(), kMode) == 0) return Ok();
    return SystemError("chmod " + directory, errno);
  }
  if (errno == EEXIST) return Ok();
  return SystemError("mkdir " + directory, errno);
}

Status KernelGroupFiles::Remove(const std::string& directory) {
  if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return Ok();
  return SystemError("rmdir " + directory, errno);
}

Result<std::vector<std::string>> KernelGroupFiles::GroupsIn(const std::string& directory) const {
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(directory.c_str()), ::closedir);
  std::vector<std::string> names;
  if (!opened) {
    if (errno == ENOENT) return names;
    return SystemError("open " + directory, errno);
  }
  while (const dirent* entry = ::readdir(opened.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

// The kernel keeps no time of birth. This one is never before it, for it is when the directory was first looked at.
std::optional<WallTime> KernelGroupFiles::MadeBefore(const std::string& directory) const {
  struct stat status{};
  if (::lstat(directory.c_str(), &status) != 0) return std::nullopt;
  return WallTime(std::chrono::seconds(status.st_mtim.tv_sec) + Nanoseconds(status.st_mtim.tv_nsec));
}

void KernelGroupFiles::Kill(const std::string& directory, pid_t process) {
  if (process == ::getpid()) return;
  const Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  if (!handle) return;  // it has ended
  // The handle is of whoever has the number now; that one must still be listed.
  const auto listed = Read(directory + "/cgroup.procs");
  if (!listed) return;
  const std::vector<pid_t> processes = ParseProcesses(*listed);
  if (std::find(processes.begin(), processes.end(), process) == processes.end()) return;
  ::syscall(SYS_pidfd_send_signal, handle.get(), SIGKILL, nullptr, 0);
}

void KernelGroupFiles::Pause() { std::this_thread::sleep_for(kPause); }

std::vector<pid_t> ParseProcesses(std::string_view text) {
  std::vector<pid_t> processes;
  for (const std::string_view line : SplitText(text, '\n')) {
    pid_t process = 0;
    std::from_chars(line.data(), line.data() + line.size(), process);
    if (process > 0) processes.push_back(process);
  }
  return processes;
}

}  // namespace daemonsetd::pods
