#include "agent/pods/volumes/empty_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "agent/decide/pod_spec.h"
#include "agent/decide/resources.h"
#include "agent/model/quantity.h"
#include "agent/pods/files.h"
#include "agent/pods/volumes/memory_medium.h"

namespace daemonsetd::pods {
namespace {

constexpr std::string_view kHugePagesMedium = "HugePages";
constexpr std::string_view kHugePagesPrefix = "HugePages-";
constexpr std::string_view kHugePagesResource = "hugepages-";

bool EveryContainerHasMemoryLimit(const corev1::PodSpec& spec) {
  if (spec.resources().limits().contains("memory")) return true;
  return std::all_of(spec.containers().begin(), spec.containers().end(), [](const corev1::Container& container) {
    return container.resources().limits().contains("memory");
  });
}

Status MountMedium(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source, const std::string& path) {
  if (source.medium() == decide::kMemoryMedium) {
    const std::int64_t size = TmpfsSize(spec, source);
    return MountOnce(path, "tmpfs", size > 0 ? fmt::format("size={}", size) : std::string());
  }
  const Result<std::int64_t> page = HugePageSize(spec, source);
  if (!page) return page.error();
  return MountOnce(path, "hugetlbfs", fmt::format("pagesize={}", *page));
}

Status SetOwnership(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source, const std::string& path) {
  mode_t mode = source.has_mode() ? static_cast<mode_t>(source.mode()) & 07777 : 0777;
  if (spec.securitycontext().has_fsgroup()) {
    if (::chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(spec.securitycontext().fsgroup())) != 0) {
      return SystemError("chown " + path, errno);
    }
    mode |= S_ISGID | 0770;
  }
  if (::chmod(path.c_str(), mode) != 0) return SystemError("chmod " + path, errno);
  return Ok();
}

}  // namespace

std::int64_t TmpfsSize(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source) {
  std::int64_t size = source.has_sizelimit() ? model::Quantity::From(source.sizelimit()).Value() : 0;
  if (EveryContainerHasMemoryLimit(spec)) {
    const decide::ResourceList limits = decide::PodLimits(spec);
    if (const auto memory = limits.find("memory"); memory != limits.end() && memory->second.Sign() > 0) {
      const std::int64_t limit = memory->second.Value();
      size = size > 0 ? std::min(size, limit) : limit;
    }
  }
  return std::max<std::int64_t>(size, 0);
}

Result<std::int64_t> HugePageSize(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source) {
  std::set<std::int64_t> sizes;
  for (const auto& [name, quantity] : decide::PodRequests(spec)) {
    if (!name.starts_with(kHugePagesResource)) continue;
    const Result<model::Quantity> size = model::Quantity::Parse(name.substr(kHugePagesResource.size()));
    if (size && size->Value() > 0) sizes.insert(size->Value());
  }
  if (source.medium() == kHugePagesMedium) {
    if (sizes.size() == 1) return *sizes.begin();
    return Error(ErrorKind::kInvalid,
                 fmt::format("emptyDir medium HugePages: the pod requests {} sizes of huge pages and the volume needs "
                             "one; name it: HugePages-<size>",
                             sizes.size()));
  }
  const Result<model::Quantity> named = model::Quantity::Parse(source.medium().substr(kHugePagesPrefix.size()));
  if (!named || named->Value() <= 0 || !sizes.contains(named->Value())) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("emptyDir medium {}: no container requests hugepages of that size", source.medium()));
  }
  return named->Value();
}

Status PrepareEmptyDir(const corev1::PodSpec& spec, const corev1::EmptyDirVolumeSource& source,
                       const std::string& path) {
  const bool is_known = source.medium().empty() || source.medium() == decide::kMemoryMedium ||
                        source.medium() == kHugePagesMedium || source.medium().starts_with(kHugePagesPrefix);
  if (!is_known) {
    return Error(ErrorKind::kInvalid, fmt::format("emptyDir medium \"{}\" is unknown; use Memory, HugePages or "
                                                  "HugePages-<size>, or leave it empty",
                                                  source.medium()));
  }
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(path.substr(0, path.rfind('/')), 0750));
  struct stat status{};
  const bool is_new = ::lstat(path.c_str(), &status) != 0;
  if (!is_new && !S_ISDIR(status.st_mode)) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("{} is {} and must be a directory", path, FileTypeName(status.st_mode)));
  }
  DAEMONSETD_RETURN_IF_ERROR(MakeDirectories(path, 0755));
  if (!source.medium().empty()) DAEMONSETD_RETURN_IF_ERROR(MountMedium(spec, source, path));
  return SetOwnership(spec, source, path);
}

}  // namespace daemonsetd::pods
