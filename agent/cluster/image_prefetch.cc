#include "agent/cluster/image_prefetch.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "agent/async/wake.h"
#include "agent/base/log.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/pods/image_name.h"
#include "agent/pods/pod_events.h"
#include "agent/pods/pod_objects.h"
#include "agent/pods/volumes/container_mounts.h"

namespace daemonsetd::cluster {
namespace {

using pods::EventType;
using pods::PullOutcome;

// Some places stay free for the pulls that a pod waits for, also while a registry hangs.
constexpr int kAtOnce = 2;
// Where no pull was tried, as for a name that is none; a pull has the puller's own back-off.
constexpr BackoffLimits kRetry{.initial = std::chrono::seconds(5), .maximum = std::chrono::minutes(5)};
constexpr char kDefaultAccount[] = "default";

}  // namespace

std::vector<NamedImage> ImagesOf(const corev1::PodSpec& spec) {
  std::vector<NamedImage> images;
  const auto add = [&images](std::string name, std::string policy) {
    NamedImage image{.name = std::move(name), .policy = std::move(policy)};
    if (std::find(images.begin(), images.end(), image) == images.end()) images.push_back(std::move(image));
  };
  for (const auto* containers : {&spec.initcontainers(), &spec.containers()}) {
    for (const corev1::Container& container : *containers) {
      for (const corev1::Volume* volume : pods::ImageVolumes(spec, container)) {
        add(volume->volumesource().image().reference(), volume->volumesource().image().pullpolicy());
      }
      add(container.image(), container.imagepullpolicy());
    }
  }
  return images;
}

std::set<std::string> CanonicalNames(const std::vector<NamedImage>& images) {
  std::set<std::string> names;
  for (const NamedImage& image : images) {
    if (const auto name = pods::ParseImageName(image.name)) names.insert(name->Canonical());
  }
  return names;
}

struct ImagePrefetch::Entry {
  Entry(pods::PodServices& services, Successor what)
      : successor(std::move(what)),
        events(services.events, successor.predecessor),
        objects(
            services, successor.pod, events, [] { return pods::PodFacts(); }, [this] { wake.Notify(); }),
        wake(services.executor) {}

  Successor successor;
  pods::PodEvents events;
  pods::PodObjects objects;
  async::Wake wake;  // dropped, or a pull secret has changed
  bool dropped = false;
  bool complete = false;
  std::string error;
  std::set<std::string> told;  // images whose failure was told
};

ImagePrefetch::ImagePrefetch(pods::PodServices& services, std::function<void()> on_change)
    : services_(services),
      on_change_(std::move(on_change)),
      places_(services.executor, kAtOnce),
      scope_(services.executor) {}

ImagePrefetch::~ImagePrefetch() = default;

bool ImagePrefetch::Knows(const std::string& set_uid, const std::string& template_hash) const {
  const auto entry = entries_.find(set_uid);
  return entry != entries_.end() && entry->second->successor.template_hash == template_hash;
}

void ImagePrefetch::Begin(Successor successor) {
  corev1::PodSpec& spec = *successor.pod.mutable_spec();
  // As the API server's admission does: its pull secrets are the pod's.
  if (spec.serviceaccountname().empty()) spec.set_serviceaccountname(kDefaultAccount);
  std::shared_ptr<Entry>& entry = entries_[successor.set_uid];
  if (entry) Drop(*entry);
  entry = std::make_shared<Entry>(services_, std::move(successor));
  scope_.Spawn("images for " + decide::NameOf(entry->successor.pod), Fetch(entry));
}

void ImagePrefetch::Drop(Entry& entry) {
  entry.dropped = true;
  entry.wake.Notify();
}

void ImagePrefetch::KeepOnly(const std::set<std::string>& set_uids) {
  std::erase_if(entries_, [&set_uids](const auto& known) {
    if (set_uids.contains(known.first)) return false;
    Drop(*known.second);
    return true;
  });
}

bool ImagePrefetch::IsComplete(const std::string& set_uid) const {
  const auto entry = entries_.find(set_uid);
  return entry != entries_.end() && entry->second->complete;
}

std::string ImagePrefetch::ErrorOf(const std::string& set_uid) const {
  const auto entry = entries_.find(set_uid);
  return entry == entries_.end() ? std::string() : entry->second->error;
}

Task<void> ImagePrefetch::Fetch(std::shared_ptr<Entry> entry) {
  const std::vector<NamedImage> images = ImagesOf(entry->successor.pod.spec());
  Backoff backoff(kRetry);
  for (std::size_t i = 0; i < images.size() && !entry->dropped;) {
    const PullOutcome outcome = co_await Bring(entry, images[i]);
    Tell(*entry, images[i], outcome);
    if (outcome.status) {
      entry->objects.PullSucceeded();
      backoff.Reset();
      ++i;
      continue;
    }
    const MonoTime due = backoff.Fail(services_.timeline.mono());
    co_await entry->wake.WaitUntil(services_.timeline, outcome.retry_at.value_or(due));
  }
  if (entry->dropped) co_return;
  entry->complete = true;
  ++completed_;
  entry->error.clear();
  on_change_();
}

Task<PullOutcome> ImagePrefetch::Bring(std::shared_ptr<Entry> entry, NamedImage image) {
  const async::Semaphore::Permit place = co_await places_.Acquire();
  pods::PullRequest request;
  request.image = image.name;
  request.policy = image.policy;
  request.find_auths = [entry, name = image.name] { return entry->objects.PullCredentials(name); };
  request.requester = decide::NameOf(entry->successor.pod) + ", which is to come";
  request.priority = std::numeric_limits<int>::min();
  request.on_pull = [this, entry, name = image.name] {
    if (entry->told.contains(name)) return;
    services_.events.Record(decide::ReferenceTo(entry->successor.predecessor), EventType::kNormal, "Pulling",
                            fmt::format("Pulling image \"{}\" of the new template while this pod runs", name));
  };
  co_return co_await services_.images.Ensure(std::move(request));
}

// A failure is told once: it may go on for days.
void ImagePrefetch::Tell(Entry& entry, const NamedImage& image, const PullOutcome& outcome) {
  if (entry.dropped) return;
  const corev1::ObjectReference about = decide::ReferenceTo(entry.successor.predecessor);
  if (outcome.status) {
    if (!outcome.pulled) return;
    services_.events.Record(about, EventType::kNormal, "Pulled",
                            fmt::format("Successfully pulled image \"{}\" of the new template. Image size: {} bytes.",
                                        image.name, outcome.image.size()));
    return;
  }
  const std::string error = outcome.reason + ": " + outcome.status.error().message();
  if (entry.told.insert(image.name).second) {
    services_.events.Record(
        about, EventType::kWarning, "Failed",
        fmt::format("Image \"{}\" of the new template is not here, and this pod runs on: {}", image.name, error));
    log::Warning("an image of a new template is not here; the old pod runs on meanwhile",
                 {{"pod", decide::NameOf(entry.successor.predecessor)}, {"image", image.name}, {"err", error}});
  }
  if (std::exchange(entry.error, error) != error) on_change_();
}

Task<void> ImagePrefetch::Close() {
  scope_.Cancel();
  co_await scope_.Join();
}

}  // namespace daemonsetd::cluster
