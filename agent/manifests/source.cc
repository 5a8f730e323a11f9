#include "agent/manifests/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "agent/async/task_scope.h"
#include "agent/base/log.h"
#include "agent/manifests/reader.h"
#include "agent/manifests/scan.h"
#include "agent/manifests/watch.h"

namespace daemonsetd::manifests {
namespace {

// Also without inotify, and for a directory whose parent is missing too.
constexpr Nanoseconds kRetryInterval = std::chrono::seconds(2);

// Runs on the pool: touches nothing but its own two values.
Status ScanInto(std::shared_ptr<const ScanRequest> request, std::shared_ptr<ScanResult> result) {
  Result<ScanResult> scanned = Scan(*request);
  if (!scanned) return scanned.error();
  *result = std::move(*scanned);
  return Ok();
}

}  // namespace

ManifestSource::ManifestSource(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
                               SourceOptions options, std::function<void()> on_change)
    : executor_(executor),
      timeline_(timeline),
      pool_(pool),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      watch_(std::make_unique<Watch>(executor, options_.directory)),
      picture_(std::make_unique<Picture>()),
      wake_(executor) {}

ManifestSource::~ManifestSource() = default;

Task<void> ManifestSource::Run() {
  async::TaskScope scope(executor_);
  if (const Status opened = watch_->Open(); opened) {
    watching_ = true;
    scope.Spawn("manifest directory events", Watching());
  } else {
    log::Warning("Manifest directory is polled, as changes can't be watched",
                 {{"directory", options_.directory}, {"err", opened.error().message()}});
  }
  std::exception_ptr ended;
  try {
    co_await Follow();
  } catch (...) {
    ended = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  scope.Cancel();
  co_await scope.Join();
  if (ended) std::rethrow_exception(ended);
}

Task<void> ManifestSource::Watching() {
  for (;;) {
    const std::vector<WatchEvent> events = co_await watch_->Next();
    for (const WatchEvent& event : events) Note(event);
    wake_.Notify();
  }
}

Task<void> ManifestSource::Follow() {
  for (;;) {
    const std::optional<MonoTime> due = NextLook();
    if (look_now_ || (due && *due <= now())) {
      co_await Look();
      continue;
    }
    co_await wake_.WaitUntil(timeline_, due);
  }
}

void ManifestSource::set_poll_interval(Nanoseconds interval) {
  options_.poll_interval = interval;
  wake_.Notify();
}

std::optional<MonoTime> ManifestSource::NextLook() const {
  std::optional<MonoTime> due = look_at_;
  const auto consider = [&](MonoTime moment) { due = due ? std::min(*due, moment) : moment; };
  if (options_.poll_interval > Nanoseconds::zero()) consider(last_look_ + options_.poll_interval);
  if (directory_error_ || !watching_) consider(last_look_ + kRetryInterval);
  for (const auto& [name, since] : vanished_) consider(since + options_.settle);
  for (const auto& [name, writing] : writing_) consider(writing.last + options_.open_write_limit);
  return due;
}

void ManifestSource::Note(const WatchEvent& event) {
  const auto settle = [&] { look_at_ = now() + options_.settle; };
  if (event.kind == WatchEvent::Kind::kOverflow) {
    force_all_ = true;
    look_now_ = true;
    return;
  }
  if (event.kind == WatchEvent::Kind::kDirectory) {
    look_now_ = true;
    return;
  }
  if (!IsManifestName(event.name)) {
    // A link such as ConfigMap volumes' "..data" may lead to the manifests; editors' files lead nowhere.
    if (event.kind == WatchEvent::Kind::kMovedIn && event.name.starts_with("..")) look_now_ = true;
    return;
  }
  switch (event.kind) {
    case WatchEvent::Kind::kClosed:
    case WatchEvent::Kind::kMovedIn:
      writing_.erase(event.name);
      forced_.insert(event.name);
      look_now_ = true;
      break;
    case WatchEvent::Kind::kModified:
      writing_[event.name] = {.last = now(), .only_created = false};
      settle();
      break;
    case WatchEvent::Kind::kCreated:
      writing_[event.name] = {.last = now(), .only_created = true};
      settle();
      break;
    case WatchEvent::Kind::kGone:
      writing_.erase(event.name);
      settle();
      break;
    case WatchEvent::Kind::kTouched:
    case WatchEvent::Kind::kDirectory:
    case WatchEvent::Kind::kOverflow: settle(); break;
  }
}

Task<void> ManifestSource::Look() {
  auto request = std::make_shared<ScanRequest>();
  request->directory = options_.directory;
  request->node_name = options_.node_name;
  request->known = known_;
  request->forced = std::exchange(forced_, {});
  if (std::exchange(force_all_, false)) {
    for (const auto& [name, file] : known_) request->forced.insert(name);
    writing_.clear();
  }
  std::erase_if(writing_, [&](const auto& item) {
    const bool overdue = item.second.last + options_.open_write_limit <= now();
    if (overdue) request->forced.insert(item.first);
    return overdue;
  });
  for (const auto& [name, writing] : writing_) {
    (writing.only_created ? request->just_created : request->being_written).insert(name);
  }
  look_now_ = false;
  look_at_.reset();
  watch_->Arm();

  auto result = std::make_shared<ScanResult>();
  std::function<Status()> scan = std::bind(&ScanInto, std::shared_ptr<const ScanRequest>(request), result);
  const Status status = co_await pool_.Run(std::move(scan));
  last_look_ = now();
  if (!status) {
    const bool absent = status.error().kind() == ErrorKind::kAbsent;
    directory_error_ = model::DecodeError{
        .file = options_.directory,
        .message = absent ? std::string("the manifest directory is missing; what runs is kept; create the directory")
                          : fmt::format("the manifest directory {}; what runs is kept", status.error().message())};
    vanished_.clear();
    forced_.merge(request->forced);
    Publish();
    co_return;
  }
  directory_error_.reset();
  complete_ = true;
  Absorb(std::move(*result));
  Publish();
}

void ManifestSource::Absorb(ScanResult result) {
  RemoveVanished(result.present);
  if (result.unstable) look_at_ = now() + options_.settle;
  for (ReadFile& file : result.read) {
    known_[file.name] = file.known;
    if (!file.same_text) picture_->Update(PathOf(file.name), std::move(file.objects));
  }
}

void ManifestSource::RemoveVanished(const std::vector<std::string>& present) {
  for (const std::string& name : present) vanished_.erase(name);
  for (auto it = known_.begin(); it != known_.end();) {
    const std::string& name = it->first;
    if (std::binary_search(present.begin(), present.end(), name)) {
      ++it;
      continue;
    }
    // Editors and `kubectl` replace a file by removing it for a moment.
    const auto [since, fresh] = vanished_.emplace(name, now());
    if (now() - since->second < options_.settle) {
      ++it;
      continue;
    }
    picture_->Remove(PathOf(name));
    vanished_.erase(since);
    it = known_.erase(it);
  }
}

void ManifestSource::Publish() {
  Snapshot next = picture_->Assemble();
  if (directory_error_) next.errors.insert(next.errors.begin(), *directory_error_);
  next.complete = complete_;
  if (Same(current_, next)) return;
  for (const model::DecodeError& error : next.errors) {
    const std::string text = model::ToString(error);
    const bool known = std::any_of(current_.errors.begin(), current_.errors.end(),
                                   [&](const model::DecodeError& old) { return model::ToString(old) == text; });
    if (known) continue;
    const bool of_directory = error.file == options_.directory;
    log::Error(of_directory ? "Manifest directory can't be read" : "Manifest is not in use as it is written",
               {{"err", text}});
  }
  current_ = std::move(next);
  on_change_();
}

}  // namespace daemonsetd::manifests
