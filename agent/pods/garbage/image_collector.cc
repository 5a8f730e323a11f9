#include "agent/pods/garbage/image_collector.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/pods/files.h"
#include "agent/pods/image_name.h"
#include "cri/verbose_status.h"

namespace daemonsetd::pods {
namespace {

// How exactly a restart knows when an image was used last; each writing costs an fsync.
constexpr Nanoseconds kUseResolution = std::chrono::hours(1);
// A shortage goes on until a person acts.
constexpr Nanoseconds kBetweenTellings = std::chrono::minutes(5);
// The first one may be a runtime that is just coming up (kubelet).
constexpr int kFailuresToTell = 2;

WallTime WallTimeOf(std::int64_t nanoseconds) { return WallTime(Nanoseconds(nanoseconds)); }
std::int64_t NanosecondsOf(WallTime time) { return time.time_since_epoch().count(); }

bool IsUsed(const decide::ImageOnNode& image, const std::set<std::string>& used) {
  return used.contains(image.id) || std::any_of(image.names.begin(), image.names.end(),
                                                [&used](const std::string& name) { return used.contains(name); });
}

std::vector<decide::ImageOnNode> Copies(const std::vector<const decide::ImageOnNode*>& images) {
  std::vector<decide::ImageOnNode> copies;
  copies.reserve(images.size());
  for (const decide::ImageOnNode* image : images) copies.push_back(*image);
  return copies;
}

std::string NameOf(const decide::ImageOnNode& image) { return image.names.empty() ? image.id : image.names.front(); }

}  // namespace

Result<decide::ImageSpace> ImageCollector::ReadSpaceOf(const std::string& path) {
  struct statvfs status{};
  if (::statvfs(path.c_str(), &status) != 0) return SystemError("ask for the room of " + path, errno);
  // What is kept for root counts as used, as df does.
  const std::uint64_t block = status.f_frsize;
  const std::uint64_t used = std::uint64_t{status.f_blocks - status.f_bfree} * block;
  const std::uint64_t available = std::uint64_t{status.f_bavail} * block;
  return decide::ImageSpace{.capacity = used + available, .available = available};
}

ImageCollector::ImageCollector(Ports ports, ImageCollectorSettings settings)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      wake_(ports_.executor),
      trouble_("the images of this node are not looked after: its disk may fill up",
               "the images of this node are looked after again") {}

Task<void> ImageCollector::Run() {
  for (;;) {
    const Status looked = co_await Look();
    TellFailure(looked);
    co_await ports_.timeline.SleepFor(settings_.period);
  }
}

void ImageCollector::TellFailure(const Status& looked) {
  if (looked) {
    failures_ = 0;
    trouble_.End();
    return;
  }
  if (++failures_ < kFailuresToTell) return;
  trouble_.Tell(looked.error());
  if (failures_ == kFailuresToTell) {
    ports_.events.Record(ports_.node(), EventType::kWarning, "ImageGCFailed", looked.error().message());
  }
}

Task<Status> ImageCollector::Look() {
  Result<Sight> sight = co_await See();
  if (!sight) co_return sight.error();
  const auto space = co_await FindSpace();
  if (!space) co_return space.error();
  if (decide::BytesToFree(*space, settings_.thresholds) == 0) {
    shortage_told_.reset();
    co_return Ok();
  }
  const auto keep = co_await Keep(sight->used);
  if (!keep) co_return keep.error();
  const WallTime now = ports_.timeline.Read().wall;
  const auto plan = decide::PlanImageRemoval(sight->images, *keep, *space, settings_.thresholds, now);
  co_await Free(plan.bytes_wanted, Copies(plan.candidates));
  co_return Ok();
}

Task<Result<std::uint64_t>> ImageCollector::RemoveAllUnused() {
  Result<Sight> sight = co_await See();
  if (!sight) co_return sight.error();
  const auto keep = co_await Keep(sight->used);
  if (!keep) co_return keep.error();
  const auto unused =
      decide::UnusedImages(sight->images, *keep, settings_.thresholds.minimum_age, ports_.timeline.Read().wall);
  std::uint64_t bytes = 0;
  for (const decide::ImageOnNode& image : Copies(unused)) {
    if (co_await Remove(image)) bytes += image.bytes;
  }
  co_return bytes;
}

// Containers of everybody: also those that do not run, for they may be started again.
Task<Result<ImageCollector::Sight>> ImageCollector::See() {
  auto containers = co_await ports_.runtime.ListContainers({}, settings_.call_timeout);
  if (!containers) co_return containers.error();
  auto images = co_await ports_.image_service.ListImages({}, settings_.call_timeout);
  if (!images) co_return images.error();
  Sight sight;
  for (const cri::v1::Container& container : containers->containers()) {
    for (const std::string& name : {container.image().image(), container.image().user_specified_image(),
                                    container.image_ref(), container.image_id()}) {
      if (name.empty()) continue;
      sight.used.insert(name);
      sight.used.insert(CanonicalImageName(name));
    }
  }
  for (const cri::v1::Image& image : images->images()) {
    decide::ImageOnNode& seen = sight.images.emplace_back();
    seen.id = image.id();
    seen.names.assign(image.repo_tags().begin(), image.repo_tags().end());
    seen.names.insert(seen.names.end(), image.repo_digests().begin(), image.repo_digests().end());
    seen.bytes = image.size();
    seen.pinned = image.pinned();
  }
  Remember(sight);
  co_return sight;
}

void ImageCollector::Remember(Sight& sight) {
  const WallTime now = ports_.timeline.Read().wall;
  std::set<std::string> present;
  for (decide::ImageOnNode& image : sight.images) {
    present.insert(image.id);
    const checkpoint::v1::ImageRecord* known = ports_.records.Find(image.id);
    checkpoint::v1::ImageRecord record = known ? *known : checkpoint::v1::ImageRecord();
    bool news = known == nullptr;
    if (news) {
      record.set_id(image.id);
      // How long those of the first look were there nobody knows.
      if (remembered_) record.set_first_seen(NanosecondsOf(now));
    }
    image.first_seen = WallTimeOf(record.first_seen());
    if (record.last_used() != 0) image.last_used = WallTimeOf(record.last_used());
    if (IsUsed(image, sight.used)) {
      news |= !image.last_used || now - *image.last_used >= kUseResolution || now < *image.last_used;
      image.last_used = now;
      record.set_last_used(NanosecondsOf(now));
    }
    if (news) ports_.records.Put(std::move(record));
  }
  for (const std::string& id : ports_.records.Ids()) {
    if (!present.contains(id)) ports_.records.Remove(id);
  }
  remembered_ = true;
}

Task<Result<decide::ImageSpace>> ImageCollector::FindSpace() {
  if (mount_point_.empty()) {
    const auto info = co_await ports_.image_service.ImageFsInfo(settings_.call_timeout);
    if (!info) co_return info.error();
    if (info->image_filesystems_size() > 0) mount_point_ = info->image_filesystems(0).fs_id().mountpoint();
    if (mount_point_.empty()) co_return Error(ErrorKind::kUnsupported, "the runtime does not say where its images are");
  }
  std::function<Result<decide::ImageSpace>()> read = std::bind(ports_.read_space, mount_point_);
  auto space = co_await ports_.blocking.Compute(std::move(read));
  if (!space) mount_point_.clear();
  co_return space;
}

Task<Result<decide::ImagesToKeep>> ImageCollector::Keep(std::set<std::string> used) {
  decide::ImagesToKeep keep{.images = std::move(used), .patterns = settings_.pinned};
  const auto pause = co_await PauseImages();
  if (!pause) co_return pause.error();
  keep.images.insert(pause->begin(), pause->end());
  auto wanted = ports_.wanted();
  if (!wanted) {
    co_return Error(ErrorKind::kRetry,
                    "it is not known yet which images the pods of this node need, so none is removed");
  }
  keep.images.merge(*wanted);
  co_return keep;
}

Task<Result<std::set<std::string>>> ImageCollector::PauseImages() {
  const auto status = co_await ports_.runtime.Status(/*verbose=*/true, settings_.call_timeout);
  if (!status) co_return status.error();
  std::set<std::string> names;
  if (const std::string name = cri::PauseImageOf(*status); !name.empty()) {
    names.insert(name);
    names.insert(CanonicalImageName(name));
  }
  co_return names;
}

Task<void> ImageCollector::Free(std::uint64_t wanted, std::vector<decide::ImageOnNode> candidates) {
  if (candidates.empty()) co_return TellShortage(wanted, 0);
  log::Info("the file system of the images is too full; removing those not used for longest",
            {{"path", mount_point_}, {"bytesWanted", wanted}, {"removable", candidates.size()}});
  std::uint64_t removed = 0;
  for (const decide::ImageOnNode& image : candidates) {
    if (removed >= wanted) co_return;
    if (!co_await Remove(image)) continue;
    removed += image.bytes;
    // Layers are shared and packed: the file system knows better.
    const auto space = co_await FindSpace();
    if (space && decide::IsBelowLowThreshold(*space, settings_.thresholds)) co_return;
  }
  if (removed < wanted) TellShortage(wanted, removed);
}

// The kubelet's words. The disk is full of something else.
void ImageCollector::TellShortage(std::uint64_t wanted, std::uint64_t found) {
  const MonoTime now = ports_.timeline.mono();
  if (shortage_told_ && now - *shortage_told_ < kBetweenTellings) return;
  shortage_told_ = now;
  const std::string text = fmt::format(
      "Failed to garbage collect required amount of images. Attempted to free {} bytes, but only found {} bytes "
      "eligible to free.",
      wanted, found);
  log::Warning("the file system of the images stays too full; look for what else fills it",
               {{"path", mount_point_}, {"bytesWanted", wanted}, {"bytesRemoved", found}});
  ports_.events.Record(ports_.node(), EventType::kWarning, "FreeDiskSpaceFailed", text);
}

Task<bool> ImageCollector::Remove(decide::ImageOnNode image) {
  const Status removed = co_await ports_.images.Remove(image.id, image.names, settings_.call_timeout);
  if (!removed) {
    log::Warning("cannot remove an image", {{"image", NameOf(image)}, {"err", removed.error().message()}});
    co_return false;
  }
  log::Info("removed an image that nothing needs",
            {{"image", NameOf(image)}, {"id", image.id}, {"bytes", image.bytes}});
  ports_.records.Remove(image.id);
  ports_.on_collected("space");
  co_return true;
}

}  // namespace daemonsetd::pods
