// Keeps the logs of containers within size and count (decide/log_rotation.h), whatever they write and however the agent
// ends.
// - A file is looked at again when it would be full if it grew on as it does, and at least once an interval. So the
//   logs of one container take at most max_files * (max_size + what it writes between two looks).
// - To set a file aside is a rename and a call to the runtime; it never waits for a compression (LG-03). Compressing
//   has threads of its own, of the lowest priority, made when there is something to compress.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/async/blocking_pool.h"
#include "agent/async/semaphore.h"
#include "agent/async/task_scope.h"
#include "agent/async/wake.h"
#include "agent/decide/log_rotation.h"
#include "agent/pods/pod_services.h"

namespace daemonsetd::pods {

struct LogRotationSettings {
  decide::LogLimits limits;
  Nanoseconds interval = std::chrono::seconds(10);
  int workers = 1;  // compressions at once; 0: on the loop itself, for tests
};

class LogRotator {
 public:
  // Called on the loop for each file that was set aside, with true, and for each that could not be set aside or
  // compressed, with false.
  using Observer = std::function<void(bool succeeded)>;

  LogRotator(PodServices& services, LogRotationSettings settings, Observer observer);
  // Waits for compressions under way, which end early.
  ~LogRotator();

  // Until cancelled.
  Task<void> Run();
  // Containers came or went.
  void Notify() { wake_.Notify(); }
  // Limits and interval, from the next look on.
  void Change(const LogRotationSettings& settings);

 private:
  // The containers of one name in one pod: their logs are in one directory.
  struct Container {
    std::string running_id;  // empty: none runs
    int running = -1;
    std::set<int> recorded;
    // Of the running attempt's file.
    std::int64_t size = -1;  // -1: not looked at
    std::int64_t grown = 0;  // between the last two looks
    Nanoseconds elapsed{};
    MonoTime looked_at{};
    MonoTime next_look{};
    std::optional<MonoTime> tidy_at;  // when the whole directory is to be looked at
    bool busy = false;                // that is under way
    std::string compressing;          // file name
    bool failing = false;             // told already
  };
  struct Pass;
  struct Looks;

  Task<void> LookForEver();
  void Collect();
  Task<void> Look();
  void Judge(const std::string& directory, Container& container, const Result<std::int64_t>& size, MonoTime now);
  Task<void> Tidy(std::string directory);
  Task<Status> Reopen(std::shared_ptr<Pass> pass, std::string container_id);
  void Finish(const std::string& directory, const Pass& pass, const Status& outcome);
  Task<void> Compress(std::string directory, std::string name);
  Container* Find(const std::string& directory);
  MonoTime NextLook() const;
  std::string PathOf(const std::string& directory, const Container& container) const;

  PodServices& services_;
  LogRotationSettings settings_;
  Observer observer_;
  async::Wake wake_;
  async::TaskScope scope_;
  async::Semaphore slots_;
  std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
  std::optional<async::BlockingPool> pool_;
  std::map<std::string, Container> containers_;  // by directory
};

}  // namespace daemonsetd::pods
