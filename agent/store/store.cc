#include "agent/store/store.h"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/base/log.h"

namespace daemonsetd::store {
namespace {

// Far above what one node runs; beyond it the oldest go, so that what nobody removes cannot fill the disk.
constexpr std::size_t kMaxRecords = 2000;
// Changes that come together are written together.
constexpr Nanoseconds kSettle = std::chrono::milliseconds(200);

// Between two writings of what a watch confirms all the time.
constexpr Nanoseconds kConfirmPeriod = std::chrono::minutes(1);
constexpr MonoTime kBeingWritten = MonoTime::max();

bool IsTooLarge(const google::protobuf::Message& record) {
  return record.ByteSizeLong() > kMaxRecordBytes - kMaxHeaderBytes;
}

}  // namespace

// kKind stands in the header of the file. Confirms(): whether `now` says no more than `before` did.
template <>
struct Store::FamilyOf<PodRecord> {
  static constexpr Family kFamily = Family::kPod;
  static constexpr std::string_view kKind = "pod";
  static constexpr std::string_view kDirectory = "/pods";
  static std::string IdOf(const PodRecord& record) { return record.uid(); }
  static std::string FileName(const std::string& id) { return RecordFileName(id); }
  static bool Confirms(const PodRecord&, const PodRecord&) { return false; }
};
template <>
struct Store::FamilyOf<WorkloadRecord> {
  static constexpr Family kFamily = Family::kWorkload;
  static constexpr std::string_view kKind = "workload";
  static constexpr std::string_view kDirectory = "/workloads";
  static std::string IdOf(const WorkloadRecord& record) { return record.owner_uid(); }
  static std::string FileName(const std::string& id) { return RecordFileName(id); }
  static bool Confirms(const WorkloadRecord&, const WorkloadRecord&) { return false; }
};
template <>
struct Store::FamilyOf<ImageRecord> {
  static constexpr Family kFamily = Family::kImage;
  static constexpr std::string_view kKind = "image";
  static constexpr std::string_view kDirectory = "/images";
  static std::string IdOf(const ImageRecord& record) { return record.id(); }
  static std::string FileName(const std::string& id) { return RecordFileName(id); }
  static bool Confirms(const ImageRecord&, const ImageRecord&) { return false; }
};
template <>
struct Store::FamilyOf<ObjectRecord> {
  static constexpr Family kFamily = Family::kObject;
  static constexpr std::string_view kKind = "object";
  static constexpr std::string_view kDirectory = "/objects";
  static std::string IdOf(const ObjectRecord& record) {
    return ObjectId(record.kind(), record.namespace_(), record.name());
  }
  static std::string FileName(const std::string& id) { return ObjectFileName(id); }
  static bool Confirms(const ObjectRecord& before, ObjectRecord now) {
    now.set_seen_at(before.seen_at());
    return EncodeRecord(kKind, before) == EncodeRecord(kKind, now);
  }
};
template <>
struct Store::FamilyOf<PositionRecord> {
  static constexpr Family kFamily = Family::kPosition;
  static constexpr std::string_view kKind = "position";
  static constexpr std::string_view kDirectory = "/positions";
  static std::string IdOf(const PositionRecord& record) { return record.resource(); }
  static std::string FileName(const std::string& id) { return RecordFileName(id); }
  static bool Confirms(const PositionRecord& before, PositionRecord now) {
    now.set_newest(before.newest());
    return EncodeRecord(kKind, before) == EncodeRecord(kKind, now);
  }
};

template <class Function>
auto Store::WithFamily(Family family, Function function) {
  switch (family) {
    case Family::kPod: return function(std::type_identity<PodRecord>());
    case Family::kWorkload: return function(std::type_identity<WorkloadRecord>());
    case Family::kImage: return function(std::type_identity<ImageRecord>());
    case Family::kObject: return function(std::type_identity<ObjectRecord>());
    case Family::kPosition: break;
  }
  return function(std::type_identity<PositionRecord>());
}

template <class Record>
void Store::LoadFamily(const std::string& root, std::vector<Record>& records, std::vector<std::string>& problems) {
  using Of = FamilyOf<Record>;
  const std::string directory = root + std::string(Of::kDirectory);
  DirectoryContent content = ReadDirectory(directory, kMaxRecords);
  for (std::string& problem : content.problems) problems.push_back("checkpoint: " + std::move(problem));
  for (const RecordFile& file : content.files) {
    Record record;
    Status decoded = DecodeRecord(file.content, Of::kKind, record);
    if (decoded && Of::FileName(Of::IdOf(record)) != file.name) {
      decoded = Error(ErrorKind::kInvalid, "damaged: it holds the record of another object");
    }
    if (decoded) {
      records.push_back(std::move(record));
    } else {
      problems.push_back(fmt::format("checkpoint: {}/{} is {}; {}", directory, file.name, decoded.error().message(),
                                     SetAside(directory, file.name)));
    }
  }
}

LoadResult Load(const std::string& directory) {
  LoadResult result;
  Store::LoadFamily(directory, result.pods, result.problems);
  Store::LoadFamily(directory, result.workloads, result.problems);
  Store::LoadFamily(directory, result.images, result.problems);
  Store::LoadFamily(directory, result.objects, result.problems);
  Store::LoadFamily(directory, result.positions, result.problems);
  return result;
}

Store::Store(async::Executor executor, async::Timeline& timeline, async::BlockingPool& blocking, std::string directory,
             std::function<void()> on_problem)
    : timeline_(timeline),
      blocking_(blocking),
      directory_(std::move(directory)),
      on_problem_(std::move(on_problem)),
      wake_(executor) {}

template <class Record>
void Store::AdoptFamily(std::vector<Record> records) {
  for (Record& record : records) {
    Key key{.family = FamilyOf<Record>::kFamily, .id = FamilyOf<Record>::IdOf(record)};
    std::get<Records<Record>>(records_)[key.id] = std::move(record);
    const std::uint64_t digest = Fnv1a64(Encode(key));
    on_disk_[std::move(key)] = {.digest = digest, .written = timeline_.mono()};
  }
}

void Store::Adopt(LoadResult loaded) {
  AdoptFamily(std::move(loaded.pods));
  AdoptFamily(std::move(loaded.workloads));
  AdoptFamily(std::move(loaded.images));
  AdoptFamily(std::move(loaded.objects));
  AdoptFamily(std::move(loaded.positions));
}

const ObjectRecord* Store::FindObject(std::string_view kind, std::string_view name_space, std::string_view name) const {
  return Find<ObjectRecord>(ObjectId(kind, name_space, name));
}

std::vector<const ObjectRecord*> Store::ObjectsOf(std::string_view kind) const {
  const auto& objects = std::get<Records<ObjectRecord>>(records_);
  std::vector<const ObjectRecord*> found;
  for (const auto& [id, record] : objects) {
    if (record.kind() == kind) found.push_back(&record);
  }
  return found;
}

template <class Record>
void Store::PutRecord(Record record) {
  using Of = FamilyOf<Record>;
  Key key{.family = Of::kFamily, .id = Of::IdOf(record)};
  MonoTime write_at = timeline_.mono();
  const Record* before = Find<Record>(key.id);
  const auto on_disk = on_disk_.find(key);
  if (before != nullptr && on_disk != on_disk_.end() && Of::Confirms(*before, record)) {
    write_at = std::max(write_at, on_disk->second.written + kConfirmPeriod);
  }
  if (IsTooLarge(record) && (before == nullptr || !IsTooLarge(*before))) {
    log::Warning("a record is too large for the checkpoint: a restart of the agent would forget it",
                 {{"kind", Of::kKind}, {"record", key.id}, {"limitBytes", kMaxRecordBytes}});
  }
  std::get<Records<Record>>(records_)[key.id] = std::move(record);
  Changed(std::move(key), write_at);
}

template <class Record>
void Store::RemoveRecord(const std::string& id) {
  if (std::get<Records<Record>>(records_).erase(id) == 0) return;
  Changed({.family = FamilyOf<Record>::kFamily, .id = id}, timeline_.mono());
}

void Store::Put(PodRecord record) { PutRecord(std::move(record)); }
void Store::Put(WorkloadRecord record) { PutRecord(std::move(record)); }
void Store::Put(ImageRecord record) { PutRecord(std::move(record)); }
void Store::Put(ObjectRecord record) { PutRecord(std::move(record)); }
void Store::Put(PositionRecord record) { PutRecord(std::move(record)); }
void Store::RemovePod(const std::string& uid) { RemoveRecord<PodRecord>(uid); }
void Store::RemoveWorkload(const std::string& owner_uid) { RemoveRecord<WorkloadRecord>(owner_uid); }
void Store::RemoveImage(const std::string& id) { RemoveRecord<ImageRecord>(id); }
void Store::RemoveObject(std::string_view kind, std::string_view name_space, std::string_view name) {
  RemoveRecord<ObjectRecord>(ObjectId(kind, name_space, name));
}

void Store::Changed(Key key, MonoTime write_at) {
  const auto [entry, is_new] = dirty_.try_emplace(std::move(key), write_at);
  entry->second = std::min(entry->second, write_at);
  wake_.Notify();
}

// Empty when there is no such record any more, or none that a file could hold.
std::string Store::Encode(const Key& key) const {
  return WithFamily(key.family, [&]<class Record>(std::type_identity<Record>) {
    const Record* record = Find<Record>(key.id);
    if (record == nullptr || IsTooLarge(*record)) return std::string();
    return EncodeRecord(FamilyOf<Record>::kKind, *record);
  });
}

FileChange Store::ChangeOf(const Key& key, std::string content) const {
  return WithFamily(key.family, [&]<class Record>(std::type_identity<Record>) {
    FileChange change{.directory = directory_ + std::string(FamilyOf<Record>::kDirectory),
                      .name = FamilyOf<Record>::FileName(key.id),
                      .content = std::nullopt};
    if (!content.empty()) change.content = std::move(content);
    return change;
  });
}

// Unset: nothing is to be written.
std::optional<MonoTime> Store::NextWrite() const {
  if (dirty_.empty()) return std::nullopt;
  const auto first =
      std::min_element(dirty_.begin(), dirty_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return backoff_.due() ? std::max(first->second, *backoff_.due()) : first->second;
}

Task<void> Store::Run() {
  for (;;) {
    const std::optional<MonoTime> next = NextWrite();
    if (!next || *next > timeline_.mono()) {
      co_await wake_.WaitUntil(timeline_, next);
      continue;
    }
    co_await timeline_.SleepFor(kSettle);
    std::vector<Key> keys;
    for (const auto& [key, write_at] : dirty_) {
      if (write_at <= timeline_.mono()) keys.push_back(key);
    }
    const Status written = co_await Write(std::move(keys));
    if (written) {
      backoff_.Reset();
    } else {
      backoff_.Fail(timeline_.mono());
    }
    SetProblem(written);
  }
}

Task<Status> Store::Flush(MonoTime deadline) {
  Status status = Ok();
  std::vector<Key> keys;
  for (const auto& [key, write_at] : dirty_) keys.push_back(key);
  // One at a time: a disk that has become slow must not hold up the end any longer than it has to.
  for (const Key& key : keys) {
    if (timeline_.mono() >= deadline) {
      status = Error(ErrorKind::kTimeout, "the time for the shutdown is over");
      break;
    }
    std::vector<Key> one = {key};
    const Status written = co_await Write(std::move(one));
    if (!written) status = written;
  }
  if (status) co_return Ok();
  co_return status.error().WithContext(fmt::format("{} checkpoint records were not written", dirty_.size()));
}

// Takes from dirty_ what is on disk afterwards as it is in memory.
Task<Status> Store::Write(std::vector<Key> keys) {
  auto changes = std::make_shared<std::vector<FileChange>>();
  auto saved = std::make_shared<std::vector<bool>>();
  std::vector<Key> written;
  std::vector<std::uint64_t> digests;
  for (Key& key : keys) {
    std::string content = Encode(key);
    const std::uint64_t digest = Fnv1a64(content);
    const auto known = on_disk_.find(key);
    if (content.empty() ? known == on_disk_.end() : known != on_disk_.end() && known->second.digest == digest) {
      dirty_.erase(key);
      continue;
    }
    changes->push_back(ChangeOf(key, std::move(content)));
    // Maybe done, until it is known: unlike what is there, so that it is written or removed again.
    on_disk_[key] = {.digest = ~digest, .written = timeline_.mono()};
    dirty_[key] = kBeingWritten;
    digests.push_back(digest);
    written.push_back(std::move(key));
  }
  if (changes->empty()) co_return Ok();
  std::function<Status()> apply = [changes, saved] { return ApplyChanges(*changes, *saved); };
  // From here on the files may have changed, so that what is known of them must be brought up to date: the wait below
  // is not interrupted by cancellation (agent/async/blocking_pool.h).
  writing_since_ = timeline_.mono();
  const Status status = co_await blocking_.Run(std::move(apply));
  writing_since_.reset();
  for (std::size_t i = 0; i < written.size(); ++i) {
    const Key& key = written[i];
    MonoTime& write_at = dirty_[key];
    if (!(*saved)[i]) {
      write_at = std::min(write_at, timeline_.mono());
      continue;
    }
    ++counters_.writes;
    if ((*changes)[i].content) {
      on_disk_[key].digest = digests[i];
    } else {
      on_disk_.erase(key);
    }
    // Else it changed while it was written; what is there is not the newest.
    if (write_at == kBeingWritten) dirty_.erase(key);
  }
  if (!status) ++counters_.errors;
  co_return status;
}

void Store::SetProblem(const Status& status) {
  // Not the number of records that wait: the text stays the same while nothing happens.
  std::string text;
  if (!status) {
    text = fmt::format(
        "the checkpoint cannot be written, so a restart of the agent now would forget what happened since: "
        "{}; make room in {} or make it writable, the agent goes on trying",
        status.error().message(), directory_);
  }
  if (text == problem_) return;
  if (text.empty()) {
    log::Info("the checkpoint is written again", {{"directory", directory_}});
  } else {
    log::Warning("the checkpoint cannot be written; trying again after a back-off",
                 {{"directory", directory_}, {"err", status.error().message()}});
  }
  problem_ = std::move(text);
  if (on_problem_) on_problem_();
}

}  // namespace daemonsetd::store
