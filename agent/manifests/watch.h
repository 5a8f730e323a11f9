// inotify on the manifest directory and on its parent, so that a directory that comes back is noticed at once.
#pragma once

#include <string>
#include <vector>

#include "agent/async/task.h"
#include "agent/base/result.h"

#include <boost/asio/posix/stream_descriptor.hpp>

namespace daemonsetd::manifests {

struct WatchEvent {
  enum class Kind {
    kClosed,     // a writer closed the file
    kMovedIn,    // the name now means another file, complete
    kModified,   // a writer is at work
    kCreated,    // the name is new: a writer will follow, or it is a link
    kGone,       // removed or moved away
    kTouched,    // permissions or times
    kDirectory,  // the directory itself came, went or was replaced
    kOverflow,   // events were lost
  };
  Kind kind;
  std::string name;  // base name; empty for kDirectory and kOverflow
};

class Watch {
 public:
  Watch(const async::Executor& executor, std::string directory);

  // Before the first Arm(). An error (the user's limit of inotify instances): poll instead.
  Status Open();
  // (Re-)places the watches; cheap when nothing changed. To be called before each listing, so that nothing that happens
  // after it is missed. Missing directories are no error.
  void Arm();
  // The next events, at least one. Throws operation_aborted when the calling coroutine is cancelled.
  Task<std::vector<WatchEvent>> Next();

 private:
  std::vector<WatchEvent> Parse(const char* data, std::size_t size);

  std::string directory_;
  std::string parent_;
  std::string base_name_;
  boost::asio::posix::stream_descriptor descriptor_;
  int directory_watch_ = -1;
  int parent_watch_ = -1;
};

}  // namespace daemonsetd::manifests
