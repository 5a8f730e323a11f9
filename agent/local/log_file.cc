#include "agent/local/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/async/file_writers.h"
#include "agent/local/cri_log.h"

namespace daemonsetd::local {
namespace {

constexpr std::size_t kBlock = std::size_t{64} * 1024;
constexpr std::size_t kHead = 96;  // of a record: time, stream and tag
constexpr int kGzip = 16;          // added to the window's size, it asks for gzip's header

std::int64_t NanosecondsOf(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// What is no record ends a line.
bool EndsLine(std::string_view head) {
  const auto record = ParseLogRecord(head.substr(0, head.find('\n')));
  return !record || !record->partial;
}

bool EndsLine(int descriptor, off_t offset) {
  char head[kHead];
  const ssize_t got = pread(descriptor, head, sizeof head, offset);
  return got <= 0 || EndsLine(std::string_view(head, static_cast<std::size_t>(got)));
}

}  // namespace

struct LogFile::Inflater {
  Inflater() { good = ::inflateInit2(&stream, MAX_WBITS + kGzip) == Z_OK; }
  ~Inflater() { ::inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
  std::vector<unsigned char> in = std::vector<unsigned char>(kBlock);
  off_t position = 0;  // in the file
  bool good = false;
  bool ended = false;
};

LogFile::LogFile(std::string path, async::Descriptor descriptor, bool compressed)
    : path_(std::move(path)), descriptor_(std::move(descriptor)), compressed_(compressed) {}
LogFile::LogFile(LogFile&&) noexcept = default;
LogFile& LogFile::operator=(LogFile&&) noexcept = default;
LogFile::~LogFile() = default;

Error LogFile::Failed(const char* action, int code) const {
  return Error(code == ENOENT ? ErrorKind::kAbsent : ErrorKind::kFatal,
               fmt::format("cannot {} log file {}: {}", action, path_, std::strerror(code)));
}

Result<LogFile> LogFile::Open(const std::string& path, bool compressed) {
  LogFile file(path, async::Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)), compressed);
  if (!file.descriptor_) return file.Failed("open", errno);
  struct stat facts{};
  if (fstat(file.descriptor_.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return Error(ErrorKind::kInvalid, fmt::format("log file {} is not a regular file", path));
  }
  file.inode_ = facts.st_ino;
  file.device_ = facts.st_dev;
  file.modified_ = WallTime(Nanoseconds(NanosecondsOf(facts.st_mtim)));
  return file;
}

Result<std::size_t> LogFile::Read(std::span<char> block) {
  if (end_ && !compressed_) {
    block = block.first(std::min(block.size(), static_cast<std::size_t>(std::max<off_t>(0, *end_ - offset_))));
    if (block.empty()) return std::size_t{0};
  }
  if (!compressed_) {
    const ssize_t got = pread(descriptor_.get(), block.data(), block.size(), offset_);
    if (got < 0) return Failed("read", errno);
    offset_ += got;
    return static_cast<std::size_t>(got);
  }
  if (!inflater_) inflater_ = std::make_unique<Inflater>();
  Inflater& from = *inflater_;
  if (!from.good) return Error(ErrorKind::kFatal, "no memory to read log file " + path_);
  from.stream.next_out = reinterpret_cast<unsigned char*>(block.data());
  from.stream.avail_out = static_cast<uInt>(block.size());
  while (from.stream.avail_out > 0 && !from.ended) {
    if (from.stream.avail_in == 0) {
      const ssize_t got = pread(descriptor_.get(), from.in.data(), from.in.size(), from.position);
      if (got < 0) return Failed("read", errno);
      if (got == 0) return Error(ErrorKind::kFatal, fmt::format("log file {} ends too early", path_));
      from.position += got;
      from.stream.next_in = from.in.data();
      from.stream.avail_in = static_cast<uInt>(got);
    }
    const int answer = ::inflate(&from.stream, Z_NO_FLUSH);
    if (answer == Z_STREAM_END) {
      from.ended = true;
    } else if (answer != Z_OK && answer != Z_BUF_ERROR) {
      return Error(ErrorKind::kFatal, fmt::format("log file {} is damaged", path_));
    }
  }
  const std::size_t got = block.size() - from.stream.avail_out;
  offset_ += static_cast<off_t>(got);
  return got;
}

Status LogFile::Seek(off_t offset) {
  if (!compressed_) {
    offset_ = offset;
    return Ok();
  }
  inflater_.reset();
  offset_ = 0;
  std::vector<char> skipped(kBlock);
  while (offset_ < offset) {
    const auto room = std::min(kBlock, static_cast<std::size_t>(offset - offset_));
    const auto got = Read(std::span(skipped).first(room));
    if (!got) return got.error();
    if (*got == 0) break;
  }
  return Ok();
}

void LogFile::StopAtPresentEnd() {
  struct stat facts{};
  if (fstat(descriptor_.get(), &facts) == 0) end_ = facts.st_size;
}

bool LogFile::WasTruncated() const {
  struct stat facts{};
  return !compressed_ && fstat(descriptor_.get(), &facts) == 0 && facts.st_size < offset_;
}

bool LogFile::IsAt(const std::string& path) const {
  struct stat facts{};
  return stat(path.c_str(), &facts) == 0 && facts.st_ino == inode_ && facts.st_dev == device_;
}

Result<std::int64_t> LogFile::ModifiedAt() const {
  struct stat facts{};
  if (fstat(descriptor_.get(), &facts) != 0) return Failed("look at", errno);
  return NanosecondsOf(facts.st_mtim);
}

std::optional<bool> LogFile::IsStillWritten() const { return async::IsOpenForWriting(descriptor_.get()); }

Result<std::optional<off_t>> LogFile::FindTail(std::int64_t wanted, std::int64_t& found, bool& last) {
  return compressed_ ? FindTailOfCompressed(wanted, found, last) : FindTailOfPlain(wanted, found, last);
}

// From the end, as far as needed.
Result<std::optional<off_t>> LogFile::FindTailOfPlain(std::int64_t wanted, std::int64_t& found, bool& last) const {
  struct stat facts{};
  if (fstat(descriptor_.get(), &facts) != 0) return Failed("look at", errno);
  const off_t size = end_.value_or(facts.st_size);
  if (wanted <= 0) return std::optional(size);
  std::vector<char> block(kBlock);
  off_t line_end = size;     // where the record under scrutiny ends
  off_t block_start = size;  // the block holds [block_start, ...)
  // Called for each record from the last to the first; true when the start is found, in `line_end`.
  const auto visit = [&](off_t start) {
    if (last || EndsLine(descriptor_.get(), start)) {
      if (found == wanted) return true;
      ++found;
    }
    last = false;
    line_end = start;
    return false;
  };
  while (block_start > 0) {
    const off_t length = std::min<off_t>(static_cast<off_t>(kBlock), block_start);
    block_start -= length;
    if (pread(descriptor_.get(), block.data(), static_cast<std::size_t>(length), block_start) != length) {
      return Failed("read", EIO);
    }
    for (off_t i = length - 1; i >= 0; --i) {
      const off_t position = block_start + i;
      // The line end of the last record begins no record.
      if (block[static_cast<std::size_t>(i)] != '\n' || position + 1 == size) continue;
      if (visit(position + 1)) return std::optional(line_end);
    }
  }
  if (size > 0 && visit(0)) return std::optional(line_end);
  return std::optional<off_t>();
}

// Twice from the beginning: how many lines there are, then where the first of the wanted ones begins.
Result<std::optional<off_t>> LogFile::FindTailOfCompressed(std::int64_t wanted, std::int64_t& found, bool& last) {
  std::int64_t lines = 0;
  bool ended = true;
  DAEMONSETD_RETURN_IF_ERROR(ForEachRecord([&](off_t, bool ends_line) {
    lines += ends_line ? 1 : 0;
    ended = ends_line;
    return true;
  }));
  if (offset_ == 0) return std::optional<off_t>();
  if (last && !ended) ++lines;  // nothing more comes of it
  last = false;
  std::int64_t spare = lines - (wanted - found);
  if (spare <= 0) {
    found += lines;
    return std::optional<off_t>();
  }
  found = wanted;
  off_t start = 0;
  DAEMONSETD_RETURN_IF_ERROR(ForEachRecord([&](off_t end, bool ends_line) {
    start = end;
    spare -= ends_line ? 1 : 0;
    return spare > 0;
  }));
  return std::optional(start);
}

Status LogFile::ForEachRecord(const std::function<bool(off_t end, bool ends_line)>& on_record) {
  inflater_.reset();
  offset_ = 0;
  std::vector<char> block(kBlock);
  std::string head;
  bool inside = false;
  for (;;) {
    const off_t begin = offset_;
    const auto got = Read(block);
    if (!got) return got.error();
    if (*got == 0) break;
    std::string_view rest(block.data(), *got);
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      head.append(rest.substr(0, std::min(end, kHead - head.size())));
      inside = end == std::string_view::npos;
      if (inside) break;
      rest.remove_prefix(end + 1);
      const off_t position = begin + static_cast<off_t>(*got - rest.size());
      if (!on_record(position, EndsLine(head))) return Ok();
      head.clear();
    }
  }
  if (inside) on_record(offset_, EndsLine(head));
  return Ok();
}

}  // namespace daemonsetd::local
