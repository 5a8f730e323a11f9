#include "agent/manifests/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "agent/async/descriptor.h"
#include "agent/base/digest.h"
#include "agent/base/utf8.h"

namespace daemonsetd::manifests {
namespace {

using async::Descriptor;

constexpr std::size_t kFileLimit = 3 << 20;  // of the decoder, and of etcd's objects with room to spare
constexpr std::size_t kFilesLimit = 4096;

// A file's name may be anything, what tells of it is UTF-8.
std::string ShownAs(const std::string& path) { return ValidUtf8(path); }

Error FromErrno(std::string_view what, int code) {
  return Error(code == ENOENT ? ErrorKind::kAbsent : ErrorKind::kRetry,
               fmt::format("{}: {}", what, std::strerror(code)));
}

Result<std::string> ReadAll(int fd) {
  std::string text;
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t count = ::read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FromErrno("can't be read", errno);
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > kFileLimit) {
      return Error(ErrorKind::kInvalid, "larger than 3 MiB; split it into several files");
    }
  }
}

// The sorted names, without "." and "..".
Result<std::vector<std::string>> List(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(directory.c_str()), &::closedir);
  if (handle == nullptr) return FromErrno("can't be listed", errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(handle.get());
    if (entry == nullptr && errno != 0) return FromErrno("can't be listed", errno);
    if (entry == nullptr) break;
    if (!IsManifestName(entry->d_name)) continue;
    names.emplace_back(entry->d_name);
    if (names.size() > kFilesLimit) {
      return Error(ErrorKind::kInvalid, fmt::format("more than {} manifests; merge some", kFilesLimit));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Scanner {
 public:
  explicit Scanner(const ScanRequest& request) : request_(request) {}

  Result<ScanResult> Run() {
    Result<std::vector<std::string>> names = List(request_.directory);
    if (!names) return names.error();
    for (const std::string& name : *names) Look(name);
    return std::move(result_);
  }

 private:
  void Look(const std::string& name) {
    const std::string path = request_.directory + "/" + name;
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
      // A dangling link, or gone since the listing.
      struct stat link{};
      if (::lstat(path.c_str(), &link) != 0) return;
      result_.present.push_back(name);
      return Refuse(name, path, async::FileStampOf(link), FromErrno("can't be read", errno));
    }
    if (!S_ISREG(status.st_mode)) return;
    result_.present.push_back(name);
    if (request_.being_written.contains(name)) return;
    if (request_.just_created.contains(name) && status.st_size == 0) return;
    const auto known = request_.known.find(name);
    const bool unchanged = known != request_.known.end() && known->second.stamp == async::FileStampOf(status);
    if (unchanged && !request_.forced.contains(name)) return;
    Read(name, path);
  }

  void Read(const std::string& name, const std::string& path) {
    // O_NONBLOCK: a FIFO put in place since stat() must not hold the thread.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat before{};
    if (file.get() < 0 || ::fstat(file.get(), &before) != 0) {
      const int code = errno;
      struct stat status{};
      if (::stat(path.c_str(), &status) != 0) {
        result_.unstable = true;
        return;
      }
      return Refuse(name, path, async::FileStampOf(status), FromErrno("can't be read", code));
    }
    if (!S_ISREG(before.st_mode)) return;
    const Result<std::string> text = ReadAll(file.get());
    struct stat after{};
    if (::fstat(file.get(), &after) != 0 || async::FileStampOf(after) != async::FileStampOf(before)) {
      result_.unstable = true;
      return;
    }
    if (!text) return Refuse(name, path, async::FileStampOf(after), text.error());
    ReadFile read{.name = name, .known = {.stamp = async::FileStampOf(after), .text_hash = Fnv1a64(*text)}};
    const auto known = request_.known.find(name);
    read.same_text =
        known != request_.known.end() && known->second.readable && known->second.text_hash == read.known.text_hash;
    if (!read.same_text) read.objects = ReadManifest(ShownAs(path), *text, request_.node_name);
    result_.read.push_back(std::move(read));
  }

  void Refuse(const std::string& name, const std::string& path, const async::FileStamp& stamp, const Error& error) {
    const auto known = request_.known.find(name);
    if (known != request_.known.end() && known->second.stamp == stamp && !known->second.readable) return;
    ReadFile read{.name = name, .known = {.stamp = stamp, .readable = false}};
    read.objects.errors.push_back({.file = ShownAs(path), .message = error.message()});
    result_.read.push_back(std::move(read));
  }

  const ScanRequest& request_;
  ScanResult result_;
};

}  // namespace

Result<ScanResult> Scan(const ScanRequest& request) { return Scanner(request).Run(); }

}  // namespace daemonsetd::manifests
