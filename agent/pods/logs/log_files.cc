#include "agent/pods/logs/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <memory>

#include "agent/async/file_writers.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kBlock = 64 * 1024;
constexpr int kGzip = 16;  // added to the window's size, it asks for gzip's header
constexpr int kMemoryLevel = 8;
// Where the kernel cannot tell whether somebody writes to a file, it counts as written for so long after a change.
constexpr std::time_t kQuietSeconds = 10;

bool IsFull(int error_number) { return error_number == ENOSPC || error_number == EDQUOT; }

bool StillWritten(int fd, const struct stat& facts) {
  if (const auto open = async::IsOpenForWriting(fd)) return *open;
  return facts.st_mtim.tv_sec + kQuietSeconds > ::time(nullptr);
}

class Deflater {
 public:
  Deflater()
      : good_(::deflateInit2(&stream_, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + kGzip, kMemoryLevel, Z_DEFAULT_STRATEGY) ==
              Z_OK) {}
  ~Deflater() { ::deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  bool good() const { return good_; }

  // Writes what comes out to `fd`; 0 or errno.
  int Feed(int fd, unsigned char* data, std::size_t size, bool last) {
    stream_.next_in = data;
    stream_.avail_in = static_cast<uInt>(size);
    do {
      stream_.next_out = out_.get();
      stream_.avail_out = kBlock;
      ::deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      const std::size_t ready = kBlock - stream_.avail_out;
      for (std::size_t done = 0; done < ready;) {
        const ssize_t count = ::write(fd, out_.get() + done, ready - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        done += static_cast<std::size_t>(count);
      }
    } while (stream_.avail_out == 0);
    return 0;
  }

 private:
  z_stream stream_{};
  std::unique_ptr<unsigned char[]> out_ = std::make_unique<unsigned char[]>(kBlock);
  bool good_;
};

// 0, errno, or ECANCELED when stopped.
int Deflate(int from, int to, const std::atomic<bool>& stop) {
  Deflater deflater;
  if (!deflater.good()) return ENOMEM;
  const auto block = std::make_unique<unsigned char[]>(kBlock);
  while (!stop) {
    const ssize_t count = ::read(from, block.get(), kBlock);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (const int failed = deflater.Feed(to, block.get(), static_cast<std::size_t>(count), count == 0)) return failed;
    if (count == 0) return 0;
  }
  return ECANCELED;
}

// Who may read it, and when the last line came: a reader that was in the middle of it knows it again by that.
int CopyFacts(int to, const struct stat& facts) {
  const struct timespec times[2] = {facts.st_atim, facts.st_mtim};
  if (::fchown(to, facts.st_uid, facts.st_gid) != 0 && ::geteuid() == 0) return errno;
  if (::fchmod(to, facts.st_mode & 07777) != 0) return errno;
  return ::futimens(to, times) == 0 ? 0 : errno;
}

Result<StepOutcome> Compress(const std::string& from, const std::string& to, const std::atomic<bool>& stop) {
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!source) return SystemError("open " + from, errno);
  struct stat facts{};
  if (::fstat(source.get(), &facts) != 0) return SystemError("look at " + from, errno);
  if (!S_ISREG(facts.st_mode)) return Error(ErrorKind::kInvalid, from + " is no regular file");
  if (StillWritten(source.get(), facts)) return StepOutcome::kStillWritten;
  if (::fstat(source.get(), &facts) != 0) return SystemError("look at " + from, errno);  // as the last writer left it
  const Descriptor target(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  int failed = target ? Deflate(source.get(), target.get(), stop) : errno;
  if (failed == 0) failed = CopyFacts(target.get(), facts);
  // Before it gets its name: the plain file is removed on the word of that name.
  if (failed == 0 && ::fdatasync(target.get()) != 0) failed = errno;
  if (failed == 0) return StepOutcome::kDone;
  if (const Status removed = RemoveLogFile(to); !removed) return removed.error();
  if (failed == ECANCELED) return StepOutcome::kStopped;
  if (IsFull(failed)) return StepOutcome::kDiskFull;
  return SystemError("compress " + from, failed);
}

}  // namespace

Result<std::vector<decide::LogFile>> ListLogFiles(const std::string& directory) {
  const Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names) return names.error();
  std::vector<decide::LogFile> files;
  for (const std::string& name : *names) {
    struct stat facts{};
    if (::lstat((directory + "/" + name).c_str(), &facts) != 0) {
      if (errno == ENOENT) continue;
      return SystemError("look at " + directory + "/" + name, errno);
    }
    if (S_ISREG(facts.st_mode)) files.push_back({.name = name, .size = facts.st_size});
  }
  return files;
}

Result<std::int64_t> LogSize(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) return SystemError("look at " + path, errno);
  return facts.st_size;
}

Status RemoveLogFile(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError("remove " + path, errno);
  return Ok();
}

Status RenameLogFile(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return Ok();
  int failed = errno;
  if (failed == EINVAL || failed == ENOSYS) {
    // A file system that does not know the flag. Two names for one file in between would be worse than the moment
    // between the look and the rename.
    if (::access(to.c_str(), F_OK) == 0) return SystemError("rename " + from + " to " + to, EEXIST);
    if (::rename(from.c_str(), to.c_str()) == 0) return Ok();
    failed = errno;
  }
  return SystemError("rename " + from + " to " + to, failed);
}

Result<StepOutcome> CarryOut(const std::string& directory, const decide::LogStep& step, const std::atomic<bool>& stop) {
  const std::string in = directory + "/";
  Status done = Ok();
  if (const auto* remove = std::get_if<decide::RemoveLog>(&step)) done = RemoveLogFile(in + remove->name);
  if (const auto* rename = std::get_if<decide::RenameLog>(&step))
    done = RenameLogFile(in + rename->from, in + rename->to);
  if (const auto* compress = std::get_if<decide::CompressLog>(&step)) {
    return Compress(in + compress->from, in + compress->to, stop);
  }
  if (!done) return done.error();
  return StepOutcome::kDone;
}

Status RemoveLogFilesOf(const std::string& path) {
  DAEMONSETD_RETURN_IF_ERROR(RemoveLogFile(path));
  const std::size_t slash = path.rfind('/');
  const auto live = decide::ParseLogFileName(std::string_view(path).substr(slash + 1));
  if (!live) return Ok();
  const std::string directory = path.substr(0, slash);
  const Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    const auto parsed = decide::ParseLogFileName(name);
    if (!parsed || parsed->attempt != live->attempt) continue;
    DAEMONSETD_RETURN_IF_ERROR(RemoveLogFile(directory + "/" + name));
  }
  return Ok();
}

}  // namespace daemonsetd::pods
