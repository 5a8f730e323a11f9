#include "agent/pods/probes/process_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "agent/async/descriptor.h"

namespace daemonsetd::pods {
namespace {

using async::Descriptor;

constexpr std::size_t kMaximumFile = 128 * 1024;  // a command line may be as long as its owner likes

// Nullopt: the process is gone, or not ours to look at.
std::optional<std::string> ReadSome(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return std::nullopt;
  std::string text;
  char buffer[4096];
  while (text.size() < kMaximumFile) {
    const ssize_t size = ::read(file.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::nullopt;
    if (size == 0) break;
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

std::optional<Process> ReadProcess(const std::string& directory) {
  const std::optional<std::string> stat = ReadSome(directory + "/stat");
  return stat ? ParseProcessStat(*stat) : std::nullopt;
}

Error SystemError(std::string_view what) {
  return Error(ErrorKind::kRetry, fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

}  // namespace

std::uint64_t ProcessTable::Ticks() const {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(now.tv_sec) * per_second +
         static_cast<std::uint64_t>(now.tv_nsec) * per_second / 1'000'000'000;
}

Result<std::vector<Process>> ProcessTable::OfContainer(pid_t container_pid, const std::string& container_id) const {
  const std::optional<std::string> first = ReadSome(fmt::format("{}/{}/cgroup", root_, container_pid));
  if (!first || first->empty()) {
    return Error(ErrorKind::kAbsent, fmt::format("process {} of the container is gone", container_pid));
  }
  const std::string cgroup = ContainerCgroup(*first, container_id);
  if (cgroup.empty()) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("process {} is in no cgroup named after its container", container_pid));
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(root_.c_str()), ::closedir);
  if (!directory) return SystemError("cannot list " + root_);
  std::vector<Process> processes;
  // cgroup.procs would be shorter, but not hold what the container put into cgroups below its own.
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    const std::string path = fmt::format("{}/{}", root_, pid);
    const std::optional<std::string> file = ReadSome(path + "/cgroup");
    if (!file || !InCgroup(*file, cgroup)) continue;
    std::optional<Process> process = ReadProcess(path);
    if (!process) continue;
    process->command = ParseCommandLine(ReadSome(path + "/cmdline").value_or(""));
    processes.push_back(std::move(*process));
  }
  return processes;
}

Status ProcessTable::Kill(const Process& process) const {
  const Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (handle.get() < 0) return errno == ESRCH ? Ok() : Status(SystemError("pidfd_open"));
  // The handle now stands for one process for good; look whether it is the one that was meant.
  const std::optional<Process> now = ReadProcess(fmt::format("{}/{}", root_, process.pid));
  if (!now || now->pid != process.pid || now->start_ticks != process.start_ticks) return Ok();
  if (::syscall(SYS_pidfd_send_signal, handle.get(), SIGKILL, nullptr, 0) == 0 || errno == ESRCH) return Ok();
  return SystemError("pidfd_send_signal");
}

}  // namespace daemonsetd::pods
