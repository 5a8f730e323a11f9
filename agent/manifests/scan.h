// One look at the manifest directory. Blocks, so it runs on the blocking pool; shares nothing with the loop.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/async/file_stamp.h"
#include "agent/manifests/reader.h"

namespace daemonsetd::manifests {

// A file as it was read last.
struct KnownFile {
  async::FileStamp stamp;
  std::uint64_t text_hash = 0;
  bool readable = true;
};

struct ScanRequest {
  std::string directory;
  std::string node_name;
  std::map<std::string, KnownFile> known;  // by base name
  std::set<std::string> forced;            // to be read whatever the stamp says
  std::set<std::string> being_written;     // to be left alone
  std::set<std::string> just_created;      // to be left alone while empty
};

struct ReadFile {
  std::string name;
  KnownFile known;
  // The text is what it was: only `known` is news.
  bool same_text = false;
  FileObjects objects;
};

struct ScanResult {
  std::vector<std::string> present;  // base names of the manifests, whether read or not
  std::vector<ReadFile> read;        // the changed ones
  bool unstable = false;             // a file changed while it was read and has to be looked at again
};

// kAbsent when there is no directory; another error when it can't be listed. A file that can't be read is no error of
// the scan: it has one in its FileObjects.
Result<ScanResult> Scan(const ScanRequest& request);

}  // namespace daemonsetd::manifests
