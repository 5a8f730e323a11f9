#include "agent/local/log_reader.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::local {
namespace {

using decide::LogFileName;

constexpr std::size_t kBlock = std::size_t{64} * 1024;
// Files come and go while they are opened; a view of them that holds still for a moment is found sooner.
constexpr int kTries = 50;
// Somebody else may keep a file open for ever.
constexpr int kMaximumLooks = 40;
// Records carry the time at which they came, the file that at which they were written.
constexpr Nanoseconds kWriteDelay = Seconds(10);

}  // namespace

LogReader::LogReader(std::string path, LogOptions options)
    : path_(std::move(path)), options_(options), joiner_(options.format) {}

Result<LogReader> LogReader::Open(std::string path, LogOptions options) {
  LogReader reader(std::move(path), options);
  DAEMONSETD_RETURN_IF_ERROR(reader.OpenAll());
  if (!options.follow) reader.files_.back().StopAtPresentEnd();
  if (options.tail) DAEMONSETD_RETURN_IF_ERROR(reader.SkipToTail());
  return reader;
}

Result<std::vector<LogReader::SetAside>> LogReader::List() const {
  const std::size_t slash = path_.rfind('/');
  const std::string directory = path_.substr(0, slash + 1);
  const auto live = decide::ParseLogFileName(std::string_view(path_).substr(slash + 1));
  std::map<Stamp, SetAside> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> names(opendir(directory.c_str()), closedir);
  if (!names && errno != ENOENT) {
    return Error(ErrorKind::kFatal, fmt::format("cannot read {}: {}", directory, std::strerror(errno)));
  }
  while (names && live) {
    const dirent* entry = readdir(names.get());
    if (entry == nullptr) break;
    const auto name = decide::ParseLogFileName(entry->d_name);
    if (!name || name->attempt != live->attempt) continue;
    if (name->kind == LogFileName::Kind::kSetAside) found[name->stamp].plain = directory + entry->d_name;
    if (name->kind == LogFileName::Kind::kCompressed) found[name->stamp].compressed = directory + entry->d_name;
  }
  std::vector<SetAside> all;
  for (auto& [stamp, one] : found) {
    one.stamp = stamp;
    if (one.compressed.empty()) {
      one.compressed = directory + decide::ToString({live->attempt, stamp, LogFileName::Kind::kCompressed});
    }
    all.push_back(std::move(one));
  }
  return all;
}

// The plain form goes once the compressed one is complete.
Result<LogFile> LogReader::OpenSetAside(const SetAside& one) {
  if (!one.plain.empty()) {
    auto file = LogFile::Open(one.plain, false);
    if (file || file.error().kind() != ErrorKind::kAbsent) return file;
  }
  return LogFile::Open(one.compressed, true);
}

// All at once, so that nothing that is removed or compressed meanwhile is missed. What was set aside is the same before
// and after the live file was opened: so that is its successor.
Status LogReader::OpenAll() {
  for (int tries = 0; tries < kTries; ++tries) {
    const auto before = List();
    if (!before) return before.error();
    auto live = LogFile::Open(path_, false);
    if (!live && (live.error().kind() != ErrorKind::kAbsent || before->empty())) return live.error();
    const auto after = List();
    if (!after) return after.error();
    const bool still = std::equal(before->begin(), before->end(), after->begin(), after->end(),
                                  [](const SetAside& a, const SetAside& b) { return a.stamp == b.stamp; });
    if ((!still || (live && !live->IsAt(path_))) && tries + 1 < kTries) continue;
    files_.clear();
    for (const SetAside& one : *before) {
      auto file = OpenSetAside(one);
      if (!file && file.error().kind() != ErrorKind::kAbsent) return file.error();
      if (!file) {
        files_.clear();  // removed for its age, and what is older with it
        continue;
      }
      const auto& oldest = options_.format.not_before;
      const bool needed = !live && &one == &before->back();
      if (!needed && oldest && file->modified() + kWriteDelay < *oldest) continue;
      files_.push_back(std::move(*file));
    }
    before_ = before->empty() ? std::nullopt : std::optional(before->back().stamp);
    if (live) {
      files_.push_back(std::move(*live));
    } else {
      // Set aside, and not opened anew yet.
      own_ = before_;
      before_ = before->size() < 2 ? std::nullopt : std::optional((*before)[before->size() - 2].stamp);
      if (files_.empty()) continue;
    }
    return Ok();
  }
  return Error(ErrorKind::kRetry, "the files of log " + path_ + " change too fast");
}

Status LogReader::SkipToTail() {
  std::int64_t found = 0;
  bool last = true;
  for (auto file = files_.rbegin(); file != files_.rend(); ++file) {
    const auto start = file->FindTail(*options_.tail, found, last);
    if (!start) return start.error();
    DAEMONSETD_RETURN_IF_ERROR(file->Seek(start->value_or(0)));
    if (!*start) continue;
    files_.erase(files_.begin(), files_.begin() + (files_.rend() - file - 1));
    return Ok();
  }
  return Ok();
}

Result<LogReader::Chunk> LogReader::Read() {
  Chunk chunk;
  std::vector<char> block(kBlock);
  while (true) {
    const auto got = files_.front().Read(block);
    if (!got) return got.error();
    if (*got > 0) {
      chunk.text = joiner_.Feed(std::string_view(block.data(), *got));
      return chunk;
    }
    if (files_.size() > 1) {
      files_.pop_front();
      continue;
    }
    if (!options_.follow) {
      chunk.at_end = true;
      return chunk;
    }
    chunk.settled = true;
    auto more = GoOn(chunk.settled);
    if (!more) return more.error();
    if (*more) continue;
    chunk.at_end = true;
    return chunk;
  }
}

Result<bool> LogReader::GoOn(bool& settled) {
  if (files_.front().IsAt(path_)) {
    own_.reset();
    let_go_ = false;
    looks_ = 0;
    if (!files_.front().WasTruncated()) return false;
    DAEMONSETD_RETURN_IF_ERROR(files_.front().Seek(0));
    return true;
  }
  if (!own_) {
    auto own = OwnStamp();
    if (!own) return own.error();
    own_ = *own;
  }
  struct stat facts{};
  // Renamed, and the runtime has not made the new file yet; or the pod is gone, which the caller knows.
  const bool live = stat(path_.c_str(), &facts) == 0;
  if (!live && errno != ENOENT) {
    return Error(ErrorKind::kFatal, fmt::format("cannot look at log file {}: {}", path_, std::strerror(errno)));
  }
  if (!live && !own_) return false;
  settled = !live;
  if (!let_go_) {
    if (!HasBeenLetGo()) return false;
    let_go_ = true;
    return true;  // what was written last is read before the next file
  }
  // Removed already, or never set aside: all that is newer than what was read before is new.
  const Stamp after = own_ ? *own_ : before_.value_or(Stamp::min());
  auto moved = MoveToSuccessor(after);
  if (moved && *moved) settled = true;
  return moved;
}

bool LogReader::HasBeenLetGo() {
  const auto written = files_.front().IsStillWritten();
  ++looks_;
  if (!written) return looks_ > 1;
  return !*written || looks_ > kMaximumLooks;
}

Result<std::optional<LogReader::Stamp>> LogReader::OwnStamp() const {
  const auto files = List();
  if (!files) return files.error();
  const auto own_time = files_.front().ModifiedAt();
  if (!own_time) return own_time.error();
  for (const SetAside& one : *files) {
    if (before_ && one.stamp <= *before_) continue;
    if (!one.plain.empty() && files_.front().IsAt(one.plain)) return std::optional(one.stamp);
    const auto compressed = LogFile::Open(one.compressed, true);
    if (!compressed) continue;
    const auto time = compressed->ModifiedAt();
    if (time && *time == *own_time) return std::optional(one.stamp);
  }
  return std::optional<Stamp>();
}

Result<bool> LogReader::MoveToSuccessor(Stamp own) {
  for (int tries = 0; tries < kTries; ++tries) {
    const auto files = List();
    if (!files) return files.error();
    const auto next = std::find_if(files->begin(), files->end(), [own](const auto& one) { return one.stamp > own; });
    const bool is_live = next == files->end();
    auto file = is_live ? LogFile::Open(path_, false) : OpenSetAside(*next);
    if (!file && file.error().kind() != ErrorKind::kAbsent) return file.error();
    if (!file && is_live) return false;  // the runtime makes it in a moment
    if (!file) continue;                 // removed between the look and the open
    // Set aside in between, and perhaps its successor too: then this is not the next one.
    if (is_live) {
      const auto now = List();
      if (!now) return now.error();
      if (!now->empty() && now->back().stamp > own) continue;
      if (!file->IsAt(path_)) continue;
    }
    files_.front() = std::move(*file);
    before_ = own;
    own_ = is_live ? std::nullopt : std::optional(next->stamp);
    let_go_ = false;
    looks_ = 0;
    return true;
  }
  return false;
}

}  // namespace daemonsetd::local
