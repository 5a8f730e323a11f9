// The files of a volume that only the agent writes, replaced all at once (pkg/volume/util/atomic_writer.go):
//
//   <volume>/..2026_01_02_03_04_05.000000001/a/b    the files, never changed once they are seen
//   <volume>/..data -> ..2026_01_02_03_04_05.000000001
//   <volume>/a -> ..data/a                           one link for each first part of a path
//
// Replacing ..data is one rename, so a reader sees all old or all new files. At no moment, also after a crash between
// any two steps, does a link lead nowhere or do two versions mix (VO-11); the next update removes what a crash left
// (VO-02). All functions that take a directory block.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::pods {

struct WantedFile {
  std::string content;
  mode_t mode = 0644;
  std::optional<uid_t> user;  // unset: root
};

struct WantedFiles {
  std::map<std::string, WantedFile> files;  // by path below the volume
  std::optional<gid_t> group;               // the pod's fsGroup: owns everything and may read it
  // Directories below the volume where containers mount something else, which cannot be made once this is mounted
  // read-only. They stay: to remove one would unmount what is there.
  std::set<std::string> mount_points = {};
};

// kInvalid unless `path` stays below the volume and clear of the names that begin with "..".
Status CheckFilePath(std::string_view path);

// One step of an update; each is safe to repeat.
struct FileStep {
  enum class Kind {
    kMakeDirectory,
    kWriteFile,
    kLink,    // makes or replaces the symbolic link `path` to `target`, by rename
    kRemove,  // a file, link or tree
  };
  Kind kind;
  std::string path = {};             // absolute
  std::string target = {};           // kLink
  const WantedFile* file = nullptr;  // kWriteFile: the caller's
  std::optional<gid_t> group = {};   // kMakeDirectory, kWriteFile
};

// What has to be done so that `volume`, a directory, shows exactly `wanted`; nothing when it does already. `now` names
// the new directory. `wanted` must outlive the steps.
Result<std::vector<FileStep>> PlanFiles(const std::string& volume, const WantedFiles& wanted, WallTime now);
Status Apply(const FileStep& step);

// PlanFiles, carried out. True when something was written or removed.
Result<bool> UpdateFiles(const std::string& volume, const WantedFiles& wanted, WallTime now);

// Whether an update was completed here at some time, so that the volume can be used as it is.
bool HasFiles(const std::string& volume);

}  // namespace daemonsetd::pods
