// The files of the checkpoint. All of it blocks: at start, and on the blocking pool afterwards.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace daemonsetd::store {

struct RecordFile {
  std::string name;     // in its directory
  std::string content;  // not longer than kMaxRecordBytes
};

struct DirectoryContent {
  std::vector<RecordFile> files;
  std::vector<std::string> problems;  // one sentence each
};

// Makes the directory, gives it and its files back to their owner alone (0700, 0600), removes what an interrupted write
// left, and reads the rest. What is no regular file, or larger than a record, is a problem and stays. Of more than
// `max_files` the ones that were written last.
DirectoryContent ReadDirectory(const std::string& directory, std::size_t max_files);

// "<name>.damaged", for a person to look at; a former one is replaced. The answer ends the sentence about the record:
// "set aside as PATH" or why it could not be.
std::string SetAside(const std::string& directory, const std::string& name);

// One record's new state.
struct FileChange {
  std::string directory;
  std::string name;
  std::optional<std::string> content;  // unset: no such record any more
};
// In the order given; each is either there in whole or not at all, whatever happens. What `saved` says survives a loss
// of power. Goes on after an error, and answers the first.
Status ApplyChanges(const std::vector<FileChange>& changes, std::vector<bool>& saved);

}  // namespace daemonsetd::store
