#include "agent/store/store.h"

#include <memory>
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

constexpr std::string_view kPodKind = "pod";
constexpr std::string_view kWorkloadKind = "workload";

std::string PodsDirectory(const std::string& directory) { return directory + "/pods"; }
std::string WorkloadsDirectory(const std::string& directory) { return directory + "/workloads"; }

const std::string& UidOf(const PodRecord& record) { return record.uid(); }
const std::string& UidOf(const WorkloadRecord& record) { return record.owner_uid(); }

template <class Record>
void LoadKind(const std::string& directory, std::string_view kind, std::vector<Record>& records,
              std::vector<std::string>& problems) {
  DirectoryContent content = ReadDirectory(directory, kMaxRecords);
  for (std::string& problem : content.problems) problems.push_back("checkpoint: " + std::move(problem));
  for (const RecordFile& file : content.files) {
    Record record;
    Status decoded = DecodeRecord(file.content, kind, record);
    if (decoded && RecordFileName(UidOf(record)) != file.name) {
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

}  // namespace

LoadResult Load(const std::string& directory) {
  LoadResult result;
  LoadKind(PodsDirectory(directory), kPodKind, result.pods, result.problems);
  LoadKind(WorkloadsDirectory(directory), kWorkloadKind, result.workloads, result.problems);
  return result;
}

Store::Store(async::Executor executor, async::Timeline& timeline, async::BlockingPool& blocking, std::string directory,
             std::function<void()> on_problem)
    : timeline_(timeline),
      blocking_(blocking),
      directory_(std::move(directory)),
      on_problem_(std::move(on_problem)),
      wake_(executor) {}

void Store::Adopt(LoadResult loaded) {
  for (PodRecord& record : loaded.pods) {
    const Key key{.workload = false, .uid = record.uid()};
    pods_[key.uid] = std::move(record);
    on_disk_[key] = Fnv1a64(Encode(key));
  }
  for (WorkloadRecord& record : loaded.workloads) {
    const Key key{.workload = true, .uid = record.owner_uid()};
    workloads_[key.uid] = std::move(record);
    on_disk_[key] = Fnv1a64(Encode(key));
  }
}

const PodRecord* Store::FindPod(const std::string& uid) const {
  const auto found = pods_.find(uid);
  return found == pods_.end() ? nullptr : &found->second;
}

const WorkloadRecord* Store::FindWorkload(const std::string& owner_uid) const {
  const auto found = workloads_.find(owner_uid);
  return found == workloads_.end() ? nullptr : &found->second;
}

void Store::Put(PodRecord record) {
  std::string uid = record.uid();
  pods_[uid] = std::move(record);
  Changed({.workload = false, .uid = std::move(uid)});
}

void Store::Put(WorkloadRecord record) {
  std::string uid = record.owner_uid();
  workloads_[uid] = std::move(record);
  Changed({.workload = true, .uid = std::move(uid)});
}

void Store::RemovePod(const std::string& uid) {
  if (pods_.erase(uid) > 0) Changed({.workload = false, .uid = uid});
}

void Store::RemoveWorkload(const std::string& owner_uid) {
  if (workloads_.erase(owner_uid) > 0) Changed({.workload = true, .uid = owner_uid});
}

void Store::Changed(Key key) {
  dirty_.insert(std::move(key));
  wake_.Notify();
}

// Empty when there is no such record any more.
std::string Store::Encode(const Key& key) const {
  if (key.workload) {
    const WorkloadRecord* record = FindWorkload(key.uid);
    return record ? EncodeRecord(kWorkloadKind, *record) : std::string();
  }
  const PodRecord* record = FindPod(key.uid);
  return record ? EncodeRecord(kPodKind, *record) : std::string();
}

Task<void> Store::Run() {
  for (;;) {
    std::optional<MonoTime> retry;
    if (!dirty_.empty()) retry = backoff_.due();
    co_await wake_.WaitUntil(timeline_, retry);
    if (backoff_.Waiting(timeline_.mono())) continue;
    co_await timeline_.SleepFor(kSettle);
    std::vector<Key> keys(dirty_.begin(), dirty_.end());
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
  const std::vector<Key> keys(dirty_.begin(), dirty_.end());
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
    if (content.empty() ? known == on_disk_.end() : known != on_disk_.end() && known->second == digest) {
      dirty_.erase(key);
      continue;
    }
    FileChange change{.directory = key.workload ? WorkloadsDirectory(directory_) : PodsDirectory(directory_),
                      .name = RecordFileName(key.uid),
                      .content = std::nullopt};
    if (!content.empty()) change.content = std::move(content);
    changes->push_back(std::move(change));
    digests.push_back(digest);
    written.push_back(std::move(key));
  }
  if (changes->empty()) co_return Ok();
  std::function<Status()> apply = [changes, saved] { return ApplyChanges(*changes, *saved); };
  // From here on the files may have changed, so that what is known of them must be brought up to date: the wait below
  // is not interrupted by cancellation (agent/async/blocking_pool.h).
  const Status status = co_await blocking_.Run(std::move(apply));
  for (std::size_t i = 0; i < written.size(); ++i) {
    const Key& key = written[i];
    if (!(*saved)[i]) {
      on_disk_[key] = ~digests[i];  // maybe done: unlike what is there, so that it is written or removed again
      continue;
    }
    if ((*changes)[i].content) {
      on_disk_[key] = digests[i];
    } else {
      on_disk_.erase(key);
    }
    // It may have changed while it was written; what is there then is not the newest.
    const std::string now = Encode(key);
    if (now.empty() ? !(*changes)[i].content : Fnv1a64(now) == digests[i]) dirty_.erase(key);
  }
  co_return status;
}

void Store::SetProblem(const Status& status) {
  // Not the number of records that wait: the text stays the same while nothing happens.
  std::string text;
  if (!status) {
    text = fmt::format(
        "the checkpoint cannot be written, so a restart of the agent now would forget restart counts and ended pods: "
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
