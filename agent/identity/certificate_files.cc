#include "agent/identity/certificate_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "agent/async/descriptor.h"

namespace daemonsetd::identity {
namespace {

constexpr char kCurrent[] = "client-current.pem";
constexpr std::string_view kPrefix = "client-";

Error Failed(std::string_view what, const std::string& path, int code) {
  return Error(code == EACCES || code == EPERM || code == EROFS ? ErrorKind::kDenied : ErrorKind::kFatal,
               fmt::format("cannot {} {}: {}", what, path, std::strerror(code)));
}

Status WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Failed("write", path, errno);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return Ok();
}

Status SyncDirectory(const std::string& directory) {
  const async::Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return Failed("sync", directory, errno);
  return Ok();
}

Status Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return Failed("replace", to, errno);
  return SyncDirectory(std::filesystem::path(to).parent_path().string());
}

// client-2026-11-27-18-00-00.pem: the names sort by age.
std::string FileName(WallTime now) {
  std::string date = FormatRfc3339(now);
  for (char& c : date) {
    if (c == 'T' || c == ':') c = '-';
  }
  if (date.ends_with('Z')) date.pop_back();
  return fmt::format("{}{}.pem", kPrefix, date);
}

// What the link named before, and what it names now, stay.
void RemoveOld(const std::string& directory, const std::string& before, const std::string& now) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name == kCurrent || name == before || name == now) continue;
    if (name.starts_with(kPrefix) && name.ends_with(".pem")) std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace

std::string CurrentCertificatePath(const std::string& state_directory) {
  return fmt::format("{}/pki/{}", state_directory, kCurrent);
}

Status MakePrivateDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(directory).parent_path(), error);
  if (error) return Failed("make the directory above", directory, error.value());
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return Failed("make", directory, errno);
  if (::chmod(directory.c_str(), 0700) != 0) return Failed("change the mode of", directory, errno);
  return Ok();
}

Status WritePrivateFile(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());  // of a write that was cut off
  {
    const async::Descriptor fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return Failed("make", fresh, errno);
    DAEMONSETD_RETURN_IF_ERROR(WriteAll(fd.get(), text, fresh));
    if (::fsync(fd.get()) != 0) return Failed("sync", fresh, errno);
  }
  return Rename(fresh, path);
}

Result<std::string> StoreCertificate(const std::string& state_directory, std::string_view certificate,
                                     std::string_view key, WallTime now) {
  const std::string current = CurrentCertificatePath(state_directory);
  const std::string directory = std::filesystem::path(current).parent_path().string();
  DAEMONSETD_RETURN_IF_ERROR(MakePrivateDirectory(directory));
  const std::string name = FileName(now);
  const std::string path = directory + "/" + name;
  DAEMONSETD_RETURN_IF_ERROR(WritePrivateFile(path, fmt::format("{}{}", certificate, key)));

  std::error_code none;
  const std::string before = std::filesystem::read_symlink(current, none).filename().string();
  const std::string fresh = current + ".new";
  ::unlink(fresh.c_str());
  if (::symlink(name.c_str(), fresh.c_str()) != 0) return Failed("make", fresh, errno);
  DAEMONSETD_RETURN_IF_ERROR(Rename(fresh, current));
  RemoveOld(directory, before, name);
  return path;
}

}  // namespace daemonsetd::identity
