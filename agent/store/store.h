// The checkpoint: what must survive the agent's process and the runtime cannot tell (design.md section 7).
//
//   <directory>/pods/<uid>              PodRecord
//   <directory>/workloads/<owner uid>   WorkloadRecord
//
// A record that cannot be read is set aside and told; the others load. Nothing here ever stops the agent.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/backoff.h"
#include "agent/store/record_files.h"
#include "agent/store/record_format.h"

namespace daemonsetd::store {

using checkpointv1::PodRecord;
using checkpointv1::WorkloadRecord;

struct LoadResult {
  std::vector<PodRecord> pods;
  std::vector<WorkloadRecord> workloads;
  std::vector<std::string> problems;  // one sentence each, with the file and what became of it
};

// Blocks: at start only, with the state directory's lock held. `directory` ends without a slash; its parent exists.
LoadResult Load(const std::string& directory);

// Everything on the loop thread; the files are written on the pool.
class Store {
 public:
  // `on_problem`, if any, is called when problem() changes.
  Store(async::Executor executor, async::Timeline& timeline, async::BlockingPool& blocking, std::string directory,
        std::function<void()> on_problem = nullptr);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Once, before Run: what Load answered for the same directory.
  void Adopt(LoadResult loaded);

  // As last put, or as loaded; null when there is none. Valid until the record is put again or removed.
  const PodRecord* FindPod(const std::string& uid) const;
  const WorkloadRecord* FindWorkload(const std::string& owner_uid) const;
  const std::map<std::string, PodRecord>& pods() const { return pods_; }
  const std::map<std::string, WorkloadRecord>& workloads() const { return workloads_; }

  // By UID; a newer one replaces an older one, and one that says the same is not written again. They neither block nor
  // fail: what cannot be written is tried again for ever. A record that was read keeps the fields that this version
  // does not know when it is changed and put back.
  void Put(PodRecord record);
  void Put(WorkloadRecord record);
  void RemovePod(const std::string& uid);
  void RemoveWorkload(const std::string& owner_uid);

  // Writes in the background until cancelled. What is then not written yet is Flush's.
  Task<void> Run();

  // For shutdown, after Run has ended: writes what is left, once, and begins nothing after `deadline`. The error says
  // what was not written.
  Task<Status> Flush(MonoTime deadline);

  // Why the newest records are not on disk, and what to do; empty while all is well.
  const std::string& problem() const { return problem_; }

 private:
  struct Key {
    bool workload = false;
    std::string uid;
    auto operator<=>(const Key&) const = default;
  };

  void Changed(Key key);
  std::string Encode(const Key& key) const;
  Task<Status> Write(std::vector<Key> keys);
  void SetProblem(const Status& status);

  async::Timeline& timeline_;
  async::BlockingPool& blocking_;
  const std::string directory_;
  std::function<void()> on_problem_;
  std::map<std::string, PodRecord> pods_;
  std::map<std::string, WorkloadRecord> workloads_;
  std::map<Key, std::uint64_t> on_disk_;  // digests
  std::set<Key> dirty_;
  async::Wake wake_;
  Backoff backoff_{BackoffLimits{.initial = std::chrono::seconds(1), .maximum = std::chrono::minutes(1)}};
  std::string problem_;
};

}  // namespace daemonsetd::store
