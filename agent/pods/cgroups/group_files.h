// The kernel's files of control groups. All functions block.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::pods {

// A port, so that tests have a kernel of their own.
class GroupFiles {
 public:
  virtual ~GroupFiles() = default;

  virtual bool Exists(const std::string& path) const = 0;
  virtual Result<std::string> Read(const std::string& path) const = 0;
  // kAbsent: the kernel has no such file, as of a controller that is not enabled.
  virtual Status Write(const std::string& path, std::string_view text) = 0;

  // One group whose parent is there. Fine when it is there already.
  virtual Status Make(const std::string& directory) = 0;
  // One group without groups and processes. Fine when it is gone.
  virtual Status Remove(const std::string& directory) = 0;
  // Names of the groups in this one; none when it is gone.
  virtual Result<std::vector<std::string>> GroupsIn(const std::string& directory) const = 0;
  // Not later than this; unset: it is gone.
  virtual std::optional<WallTime> MadeBefore(const std::string& directory) const = 0;

  // SIGKILL to a process that is in this group while the signal is sent.
  virtual void Kill(const std::string& directory, pid_t process) = 0;
  // Between two looks at processes that end.
  virtual void Pause() = 0;
};

class KernelGroupFiles : public GroupFiles {
 public:
  bool Exists(const std::string& path) const override;
  Result<std::string> Read(const std::string& path) const override;
  Status Write(const std::string& path, std::string_view text) override;
  Status Make(const std::string& directory) override;
  Status Remove(const std::string& directory) override;
  Result<std::vector<std::string>> GroupsIn(const std::string& directory) const override;
  std::optional<WallTime> MadeBefore(const std::string& directory) const override;
  void Kill(const std::string& directory, pid_t process) override;
  void Pause() override;
};

// Of cgroup.procs. Processes of namespaces beyond ours have no number here and are left out.
std::vector<pid_t> ParseProcesses(std::string_view text);

}  // namespace daemonsetd::pods
