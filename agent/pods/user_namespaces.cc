#include "agent/pods/user_namespaces.h"

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <functional>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

std::string LinksDirectory(const Directories& directories) { return directories.pod_root + "/user-namespaces"; }

// Who has which range, by the name of the link. Empty when there is no directory.
Result<std::map<std::string, std::string>> ReadLinks(const std::string& directory) {
  const Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names) return names.error();
  std::map<std::string, std::string> links;
  for (const std::string& name : *names) {
    if (std::optional<std::string> uid = ReadLink(directory + "/" + name)) links[name] = std::move(*uid);
  }
  return links;
}

}  // namespace

Result<cri::IdRange> TakeIds(const Directories& directories, const std::string& pod_uid, const IdPool& pool) {
  DAEMONSETD_RETURN_IF_ERROR(CheckPathComponent(pod_uid, "pod UID"));
  const std::string directory = LinksDirectory(directories);
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  const Result<std::map<std::string, std::string>> links = ReadLinks(directory);
  if (!links) return links.error();
  const auto range = [&pool](std::uint32_t number) {
    return cri::IdRange{.host_id = pool.first + number * kIdsPerPod, .length = kIdsPerPod};
  };
  for (std::uint32_t number = 0; number < pool.ranges; ++number) {
    const auto link = links->find(fmt::to_string(number));
    if (link != links->end() && link->second == pod_uid) return range(number);
  }
  for (std::uint32_t number = 0; number < pool.ranges; ++number) {
    const std::string name = fmt::to_string(number);
    if (links->contains(name)) continue;
    const std::string path = directory + "/" + name;
    if (::symlink(pod_uid.c_str(), path.c_str()) == 0) return range(number);
    if (errno != EEXIST) return SystemError("make " + path, errno);  // EEXIST: another pod was faster
  }
  return Error(ErrorKind::kRetry,
               fmt::format("spec.hostUsers: false: all {} ranges of IDs for user namespaces are taken (see {})",
                           pool.ranges, directory));
}

Status ReleaseIds(const Directories& directories, const std::string& pod_uid) {
  const std::string directory = LinksDirectory(directories);
  const Result<std::map<std::string, std::string>> links = ReadLinks(directory);
  if (!links) return links.error();
  for (const auto& [name, uid] : *links) {
    if (uid != pod_uid) continue;
    const std::string path = directory + "/" + name;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError("remove " + path, errno);
  }
  return Ok();
}

Task<Result<std::optional<cri::IdRange>>> UserNamespaceOf(async::BlockingPool* blocking, Directories directories,
                                                          corev1::Pod pod, IdPool pool) {
  std::optional<cri::IdRange> none;
  if (!pod.spec().has_hostusers() || pod.spec().hostusers()) co_return none;
  std::function<Result<cri::IdRange>()> take = std::bind(TakeIds, std::move(directories), pod.metadata().uid(), pool);
  const auto taken = co_await blocking->Compute(std::move(take));
  if (!taken) co_return taken.error();
  co_return std::optional<cri::IdRange>(*taken);
}

}  // namespace daemonsetd::pods
