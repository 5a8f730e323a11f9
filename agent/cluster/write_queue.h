// Writes to the API server that are asked for again and again until they have happened: one at a time for each key, and
// after a failure not before its back-off is over. Everything on the loop thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "agent/async/task_scope.h"
#include "agent/async/timeline.h"
#include "agent/base/backoff.h"
#include "agent/base/result.h"

namespace daemonsetd::cluster {

inline constexpr BackoffLimits kWriteRetry{.initial = std::chrono::milliseconds(500),
                                           .maximum = std::chrono::minutes(5)};

// Until the watch has shown what a write did that answers without the object, or that there is none any more.
inline constexpr Nanoseconds kSettle = std::chrono::seconds(5);

class WriteQueue {
 public:
  // Makes the write; called only when it is to be tried now. kAbsent: there is nothing to write to any more, and
  // kSettle long it is not tried. kConflict: the watch has to bring the newer version first.
  using Write = std::function<Task<Status>()>;

  // `on_change` is called on the loop when a write ended.
  WriteQueue(async::Executor executor, async::Timeline& timeline, std::function<void()> on_change);

  // `what` is for the log: "status of pod a/b". After success, the same key is not tried again for `settle`: the watch
  // has to show what it did first.
  void Ask(const std::string& key, const std::string& what, Nanoseconds settle, const Write& write);

  bool IsUnderWay(const std::string& key) const;
  bool AnyUnderWay() const;
  // Of the last try of this key; empty when it succeeded, or when there was none.
  std::string ErrorOf(const std::string& key) const;
  // When something that was asked for and put off may be tried again.
  std::optional<MonoTime> NextTry() const;

  // Cancels, and waits for what was cancelled.
  Task<void> Close();

 private:
  struct Entry {
    bool under_way = false;
    Backoff backoff{kWriteRetry};
    bool conflict = false;  // was the answer to the last try
    MonoTime not_before{};
    std::string error;
  };

  Task<void> Perform(std::string key, std::string what, Nanoseconds settle, Task<Status> write);
  void Ended(const std::string& key, const std::string& what, Nanoseconds settle, const Status& status);
  void DropOld();

  async::Timeline& timeline_;
  std::function<void()> on_change_;
  std::map<std::string, Entry> entries_;
  async::TaskScope scope_;
};

}  // namespace daemonsetd::cluster
