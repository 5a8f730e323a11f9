#include "agent/local/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace daemonsetd::local {
namespace {

constexpr std::size_t kBlock = 64 * 1024;

struct Opened {
  int descriptor;
  ino_t inode;
};

Error SystemError(const std::string& path, const char* action, int code) {
  return Error(code == ENOENT ? ErrorKind::kAbsent : ErrorKind::kFatal,
               fmt::format("cannot {} log file {}: {}", action, path, std::strerror(code)));
}

Result<Opened> OpenRegular(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return SystemError(path, "open", errno);
  struct stat facts{};
  if (fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    close(descriptor);
    return Error(ErrorKind::kInvalid, fmt::format("log file {} is not a regular file", path));
  }
  return Opened{descriptor, facts.st_ino};
}

// Does the record that begins at `offset` end a line? What is no record does.
bool EndsLine(int descriptor, off_t offset) {
  char head[96];
  const ssize_t got = pread(descriptor, head, sizeof head, offset);
  if (got <= 0) return true;
  std::string_view line(head, static_cast<std::size_t>(got));
  line = line.substr(0, line.find('\n'));
  const auto record = ParseLogRecord(line);
  return !record || !record->partial;
}

}  // namespace

off_t TailOffset(int descriptor, off_t size, std::int64_t lines) {
  if (lines <= 0) return size;
  std::vector<char> block(kBlock);
  std::int64_t seen = 0;
  off_t line_end = size;     // where the record under scrutiny ends
  off_t block_start = size;  // the block holds [block_start, ...)
  bool last = true;
  // Called for each record from the last to the first; true when the start is found, in `line_end`.
  const auto visit = [&](off_t start) {
    if (last || EndsLine(descriptor, start)) {
      if (seen == lines) return true;
      ++seen;
    }
    last = false;
    line_end = start;
    return false;
  };
  while (block_start > 0) {
    const off_t length = std::min<off_t>(static_cast<off_t>(kBlock), block_start);
    block_start -= length;
    if (pread(descriptor, block.data(), static_cast<std::size_t>(length), block_start) != length) return 0;
    for (off_t i = length - 1; i >= 0; --i) {
      const off_t position = block_start + i;
      // The line end of the last record begins no record.
      if (block[static_cast<std::size_t>(i)] != '\n' || position + 1 == size) continue;
      if (visit(position + 1)) return line_end;
    }
  }
  return size > 0 && visit(0) ? line_end : 0;
}

Result<LogReader> LogReader::Open(std::string path, LogOptions options) {
  auto opened = OpenRegular(path);
  if (!opened) return opened.error();
  LogReader reader(std::move(path), options, opened->descriptor, opened->inode);
  if (options.tail) {
    struct stat facts{};
    if (fstat(opened->descriptor, &facts) == 0) {
      reader.offset_ = TailOffset(opened->descriptor, facts.st_size, *options.tail);
    }
  }
  return reader;
}

LogReader::LogReader(std::string path, LogOptions options, int descriptor, ino_t inode)
    : path_(std::move(path)), options_(options), joiner_(options.format), descriptor_(descriptor), inode_(inode) {}

LogReader::LogReader(LogReader&& other) noexcept
    : path_(std::move(other.path_)),
      options_(other.options_),
      joiner_(std::move(other.joiner_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      inode_(other.inode_),
      offset_(other.offset_),
      rotation_seen_(other.rotation_seen_) {}

LogReader& LogReader::operator=(LogReader&& other) noexcept {
  path_ = std::move(other.path_);
  options_ = other.options_;
  joiner_ = std::move(other.joiner_);
  std::swap(descriptor_, other.descriptor_);
  inode_ = other.inode_;
  offset_ = other.offset_;
  rotation_seen_ = other.rotation_seen_;
  return *this;
}

LogReader::~LogReader() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<LogReader::Chunk> LogReader::Read() {
  Chunk chunk;
  std::vector<char> block(kBlock);
  while (true) {
    const ssize_t got = pread(descriptor_, block.data(), block.size(), offset_);
    if (got < 0) return SystemError(path_, "read", errno);
    if (got > 0) {
      offset_ += got;
      chunk.text = joiner_.Feed(std::string_view(block.data(), static_cast<std::size_t>(got)));
      return chunk;
    }
    if (!options_.follow) {
      chunk.at_end = true;
      return chunk;
    }
    chunk.settled = true;
    auto more = LookForSuccessor(chunk.settled);
    if (!more) return more.error();
    if (*more) continue;
    chunk.at_end = true;
    return chunk;
  }
}

Result<bool> LogReader::LookForSuccessor(bool& settled) {
  struct stat facts{};
  if (stat(path_.c_str(), &facts) != 0) {
    // Renamed, and the runtime has not made the new file yet; or the pod is gone, which the caller knows.
    if (errno == ENOENT) return false;
    return SystemError(path_, "look at", errno);
  }
  if (facts.st_ino == inode_) {
    if (facts.st_size >= offset_) return false;
    offset_ = 0;  // truncated in place
    return true;
  }
  settled = false;
  if (!rotation_seen_) {
    rotation_seen_ = true;
    return false;
  }
  rotation_seen_ = false;
  DAEMONSETD_RETURN_IF_ERROR(MoveTo(Successor()));
  return true;
}

Status LogReader::MoveTo(const std::string& path) {
  auto opened = OpenRegular(path);
  // Rotated again between the look and the open: the caller asks again later.
  if (!opened && opened.error().kind() == ErrorKind::kAbsent) return Ok();
  if (!opened) return opened.error();
  close(descriptor_);
  descriptor_ = opened->descriptor;
  inode_ = opened->inode;
  offset_ = 0;
  return Ok();
}

std::string LogReader::Successor() const {
  const std::filesystem::path live(path_);
  const std::string prefix = live.filename().string() + ".";
  std::vector<std::string> rotated;  // "0.log.20261125-001832": the names sort by time
  std::error_code error;
  for (std::filesystem::directory_iterator entry(live.parent_path(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && !name.ends_with(".gz") && !name.ends_with(".tmp")) {
      rotated.push_back(entry->path().string());
    }
  }
  std::sort(rotated.begin(), rotated.end());
  for (std::size_t i = 0; i + 1 < rotated.size(); ++i) {
    struct stat facts{};
    if (stat(rotated[i].c_str(), &facts) == 0 && facts.st_ino == inode_) return rotated[i + 1];
  }
  return path_;
}

}  // namespace daemonsetd::local
