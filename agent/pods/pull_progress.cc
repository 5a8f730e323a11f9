#include "agent/pods/pull_progress.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

constexpr std::string_view kSnapshotter = "/io.containerd.snapshotter.v1.";
constexpr std::string_view kIngests = "/io.containerd.content.v1.content/ingest";

}  // namespace

std::string IngestDirectory(const std::string& image_file_system) {
  const std::size_t at = image_file_system.rfind(kSnapshotter);
  if (at == std::string::npos) return {};
  return image_file_system.substr(0, at) + std::string(kIngests);
}

Result<std::uint64_t> DigestOfIngests(const std::string& directory) {
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0) return SystemError("look into " + directory, errno);
  Result<std::vector<std::string>> ingests = ListDirectory(directory);
  if (!ingests) return ingests.error();
  std::sort(ingests->begin(), ingests->end());
  std::string text;
  for (const std::string& ingest : *ingests) {
    const std::string path = fmt::format("{}/{}/data", directory, ingest);
    const bool there = ::stat(path.c_str(), &status) == 0;  // else it has just come to its end
    text += fmt::format("{} {}\n", ingest, there ? status.st_size : -1);
  }
  return Fnv1a64(text);
}

PullProgress::PullProgress(cri::Runtime& image_service, async::BlockingPool& blocking)
    : image_service_(image_service), blocking_(blocking) {}

Task<std::optional<std::uint64_t>> PullProgress::Look(Nanoseconds timeout) {
  const auto info = co_await image_service_.ImageFsInfo(timeout);
  if (!info || info->image_filesystems_size() == 0) co_return std::nullopt;
  const cri::v1::FilesystemUsage& usage = info->image_filesystems(0);
  const std::string directory = IngestDirectory(usage.fs_id().mountpoint());
  if (directory.empty()) co_return std::nullopt;
  std::function<Result<std::uint64_t>()> look = std::bind(DigestOfIngests, directory);
  const auto digest = co_await blocking_.Compute(std::move(look));
  if (!digest) co_return std::nullopt;
  co_return Fnv1a64(fmt::format("{} {} {}", *digest, usage.used_bytes().value(), usage.inodes_used().value()));
}

}  // namespace daemonsetd::pods
