// The checkpoint: what must survive the agent's process and the runtime cannot tell (design.md section 7).
//
//   <directory>/pods/<uid>              PodRecord
//   <directory>/workloads/<owner uid>   WorkloadRecord
//   <directory>/images/<ID>             ImageRecord
//   <directory>/objects/<kind>_<namespace>_<name>   ObjectRecord
//   <directory>/positions/<resource>    PositionRecord
//
// A record that cannot be read is set aside and told; the others load. Nothing here ever stops the agent.
//
// A watch confirms all the time what is known already. So a record that differs from the one on disk only in when the
// server said so (ObjectRecord.seen_at), or in how far it was heard (PositionRecord.newest), is written a minute after
// the last writing of it at the earliest, and by Flush. In memory it is the newest at once. The rule is Put's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/backoff.h"
#include "agent/store/record_files.h"
#include "agent/store/record_format.h"

namespace daemonsetd::store {

using checkpointv1::ImageRecord;
using checkpointv1::ObjectRecord;
using checkpointv1::PodRecord;
using checkpointv1::PositionRecord;
using checkpointv1::WorkloadRecord;

struct LoadResult {
  std::vector<PodRecord> pods;
  std::vector<WorkloadRecord> workloads;
  std::vector<ImageRecord> images;
  std::vector<ObjectRecord> objects;
  std::vector<PositionRecord> positions;
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
  const PodRecord* FindPod(const std::string& uid) const { return Find<PodRecord>(uid); }
  const WorkloadRecord* FindWorkload(const std::string& owner_uid) const { return Find<WorkloadRecord>(owner_uid); }
  const ImageRecord* FindImage(const std::string& id) const { return Find<ImageRecord>(id); }
  const ObjectRecord* FindObject(std::string_view kind, std::string_view name_space, std::string_view name) const;
  const PositionRecord* FindPosition(const std::string& resource) const { return Find<PositionRecord>(resource); }
  const std::map<std::string, PodRecord>& pods() const { return std::get<Records<PodRecord>>(records_); }
  const std::map<std::string, WorkloadRecord>& workloads() const { return std::get<Records<WorkloadRecord>>(records_); }
  const std::map<std::string, ImageRecord>& images() const { return std::get<Records<ImageRecord>>(records_); }
  // Those of this kind, ordered by namespace and name.
  std::vector<const ObjectRecord*> ObjectsOf(std::string_view kind) const;

  // By UID, object or resource; a newer one replaces an older one, and one that says the same is not written again.
  // They neither block nor fail: what cannot be written is tried again for ever. A record that was read keeps the
  // fields that this version does not know when it is changed and put back. One that is larger than kMaxRecordBytes
  // lives in memory alone, and is told in the log.
  void Put(PodRecord record);
  void Put(WorkloadRecord record);
  void Put(ImageRecord record);
  void Put(ObjectRecord record);
  void Put(PositionRecord record);
  void RemovePod(const std::string& uid);
  void RemoveWorkload(const std::string& owner_uid);
  void RemoveImage(const std::string& id);
  void RemoveObject(std::string_view kind, std::string_view name_space, std::string_view name);

  // Writes in the background until cancelled. What is then not written yet is Flush's.
  Task<void> Run();

  // For shutdown, after Run has ended: writes what is left, once, and begins nothing after `deadline`. The error says
  // what was not written.
  Task<Status> Flush(MonoTime deadline);

  // Since the start: records written or removed on disk, and rounds of them that failed.
  struct Counters {
    std::uint64_t writes = 0;
    std::uint64_t errors = 0;
  };
  const Counters& counters() const { return counters_; }
  std::size_t waiting() const { return dirty_.size(); }

  // When the next writing must begin; unset: there is nothing to write, or it is being written.
  std::optional<MonoTime> due() const { return writing_since_ ? std::nullopt : NextWrite(); }
  std::optional<MonoTime> writing_since() const { return writing_since_; }

  // Why the newest records are not on disk, and what to do; empty while all is well.
  const std::string& problem() const { return problem_; }

 private:
  enum class Family { kPod, kWorkload, kImage, kObject, kPosition };
  struct Key {
    Family family = Family::kPod;
    std::string id;
    auto operator<=>(const Key&) const = default;
  };
  struct OnDisk {
    std::uint64_t digest = 0;
    MonoTime written;
  };
  // What the code needs to know of one family; specialised in store.cc.
  template <class Record>
  struct FamilyOf;
  template <class Record>
  using Records = std::map<std::string, Record>;  // by the record's id

  template <class Record>
  static void LoadFamily(const std::string& directory, std::vector<Record>& records,
                         std::vector<std::string>& problems);
  friend LoadResult Load(const std::string& directory);
  template <class Record>
  void AdoptFamily(std::vector<Record> records);
  template <class Record>
  const Record* Find(const std::string& id) const {
    const auto& records = std::get<Records<Record>>(records_);
    const auto found = records.find(id);
    return found == records.end() ? nullptr : &found->second;
  }
  template <class Record>
  void PutRecord(Record record);
  template <class Record>
  void RemoveRecord(const std::string& id);
  template <class Function>
  static auto WithFamily(Family family, Function function);

  void Changed(Key key, MonoTime write_at);
  std::string Encode(const Key& key) const;
  FileChange ChangeOf(const Key& key, std::string content) const;
  std::optional<MonoTime> NextWrite() const;
  Task<Status> Write(std::vector<Key> keys);
  void SetProblem(const Status& status);

  async::Timeline& timeline_;
  async::BlockingPool& blocking_;
  const std::string directory_;
  std::function<void()> on_problem_;
  std::tuple<Records<PodRecord>, Records<WorkloadRecord>, Records<ImageRecord>, Records<ObjectRecord>,
             Records<PositionRecord>>
      records_;
  std::map<Key, OnDisk> on_disk_;
  std::map<Key, MonoTime> dirty_;  // and when to write it
  std::optional<MonoTime> writing_since_;
  async::Wake wake_;
  Backoff backoff_{BackoffLimits{.initial = std::chrono::seconds(1), .maximum = std::chrono::minutes(1)}};
  std::string problem_;
  Counters counters_;
};

}  // namespace daemonsetd::store
