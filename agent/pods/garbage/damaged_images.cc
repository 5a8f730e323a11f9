#include "agent/pods/garbage/damaged_images.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "agent/base/log.h"
#include "agent/decide/damaged_image.h"
#include "agent/decide/labels.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kUptimeLimit = 256;

bool Uses(const cri::v1::Container& container, const std::string& image_id) {
  return container.image_ref() == image_id || container.image_id() == image_id || container.image().image() == image_id;
}

std::vector<std::string> NamesOf(const cri::v1::Image& image) {
  std::vector<std::string> names{image.id()};
  names.insert(names.end(), image.repo_tags().begin(), image.repo_tags().end());
  names.insert(names.end(), image.repo_digests().begin(), image.repo_digests().end());
  return names;
}

decide::ImageSightings SightingsOf(const checkpoint::v1::ImageRecord* record) {
  decide::ImageSightings sightings;
  if (record && record->first_seen() != 0) sightings.first_seen = WallTime(Nanoseconds(record->first_seen()));
  if (record && record->repaired_at() != 0) sightings.repaired_at = WallTime(Nanoseconds(record->repaired_at()));
  return sightings;
}

}  // namespace

Nanoseconds ReadUptime() {
  const Result<std::string> text = ReadSmallFile("/proc/uptime", kUptimeLimit);
  double seconds = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), seconds);
  return std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(seconds));
}

DamagedImages::DamagedImages(cri::Runtime& runtime, cri::Runtime& image_service, async::Timeline& timeline,
                             ImageRecords& records, std::function<Nanoseconds()> uptime, Nanoseconds call_timeout)
    : runtime_(runtime),
      image_service_(image_service),
      timeline_(timeline),
      records_(records),
      uptime_(std::move(uptime)),
      call_timeout_(call_timeout) {}

void DamagedImages::NoteFailedStart(const std::string& image, std::string_view error) {
  if (image.empty() || uptime_() > decide::kSoonAfterBoot || !decide::TellsOfDamagedLayers(error)) return;
  if (!suspects_.insert(image).second) return;
  log::Warning("an image may be damaged by a loss of power; it is fetched anew, once, if its registry has it",
               {{"image", image}, {"err", error}});
}

bool DamagedImages::Suspects(const cri::v1::Image& image) const {
  if (suspects_.empty()) return false;
  const std::vector<std::string> names = NamesOf(image);
  return std::any_of(names.begin(), names.end(), [this](const auto& name) { return suspects_.contains(name); }) &&
         decide::MayBeDamagedByPowerLoss(SightingsOf(records_.Find(image.id())), uptime_(), timeline_.Read().wall);
}

Task<bool> DamagedImages::TakeAway(cri::v1::Image image) {
  const std::string& image_id = image.id();
  const auto containers = co_await runtime_.ListContainers({}, call_timeout_);
  if (!containers) co_return false;
  std::vector<std::string> dead;
  for (const cri::v1::Container& container : containers->containers()) {
    if (!Uses(container, image_id)) continue;
    const bool ours = decide::ValueOf(container.labels(), decide::kManagedByLabel) == "true";
    const bool lives =
        container.state() == cri::v1::CONTAINER_RUNNING || container.state() == cri::v1::CONTAINER_UNKNOWN;
    if (!ours || lives) co_return false;
    dead.push_back(container.id());
  }
  if (!Suspects(image)) co_return false;  // somebody else was faster
  for (const std::string& name : NamesOf(image)) suspects_.erase(name);
  // Before anything happens: once, whatever becomes of this process.
  const checkpoint::v1::ImageRecord* known = records_.Find(image_id);
  checkpoint::v1::ImageRecord record = known ? *known : checkpoint::v1::ImageRecord();
  record.set_id(image_id);
  record.set_repaired_at(timeline_.Read().wall.time_since_epoch().count());
  records_.Put(std::move(record));
  // Each holds a snapshot on top of the damaged ones, which would be taken again.
  for (const std::string& id : dead) {
    if (const Status removed = co_await runtime_.RemoveContainer(id, call_timeout_); !removed) co_return false;
  }
  cri::v1::ImageSpec spec;
  spec.set_image(image_id);
  const Status removed = co_await image_service_.RemoveImage(std::move(spec), call_timeout_);
  if (removed) log::Info("removed an image that may be damaged", {{"image", image_id}});
  co_return removed.has_value();
}

}  // namespace daemonsetd::pods
