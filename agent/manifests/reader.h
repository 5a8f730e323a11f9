// From the text of one manifest file to objects, and from files to one picture. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/manifests/source.h"

namespace daemonsetd::manifests {

// "*.yaml", "*.yml", "*.json". Not what editors leave beside a file while they save it: dot files, "x~", "#x#", ".#x",
// "*.swp", "*.swx", "*.tmp", vim's "4913".
bool IsManifestName(std::string_view name);

// What one file says. With an error, nothing of it is used: a file is applied as a whole.
struct FileObjects {
  std::vector<StaticDaemonSet> daemon_sets;
  std::vector<StaticPod> pods;
  std::vector<model::DecodeError> errors;
  std::vector<model::DecodeError> ignored;  // objects of other kinds, such as ServiceAccount: told, but no obstacle

  bool empty() const { return daemon_sets.empty() && pods.empty(); }
};

// Decodes, defaults and validates. Pods become static pods of `node_name` as the kubelet makes them
// (pkg/kubelet/config/common.go); UIDs follow from kind, namespace and name.
FileObjects ReadManifest(const std::string& file, std::string_view text, const std::string& node_name);

// The files of the directory, each with its last good objects and its present errors.
class Picture {
 public:
  // A file was read. Errors, or no object where there were some, keep the last good objects.
  void Update(const std::string& file, FileObjects objects);
  void Remove(const std::string& file) { files_.erase(file); }

  // An object that two files define is taken from the first file, by the bytes of their names; the other is an error.
  Snapshot Assemble() const;

 private:
  struct File {
    FileObjects good;
    std::vector<model::DecodeError> errors;
  };
  std::map<std::string, File> files_;
};

// Same objects, same errors, same completeness.
bool Same(const Snapshot& a, const Snapshot& b);

}  // namespace daemonsetd::manifests
