#include "agent/cluster/api_objects_watch.h"

#include <algorithm>
#include <vector>

#include "agent/async/task_scope.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::cluster {
namespace {

// A server that comes back meets all nodes, with all their watches, at once.
constexpr Nanoseconds kReturnSpread = std::chrono::seconds(2);
// Between two notes in the checkpoint that a quiet object is still as it was.
constexpr Nanoseconds kConfirmPeriod = std::chrono::hours(1);
// One connection an object: each renewal is a request, and nothing asks for many of them.
constexpr Nanoseconds kServerTimeout = std::chrono::minutes(30);

template <class T>
bool Unchanged(const std::shared_ptr<const T>& left, const std::shared_ptr<const T>& right) {
  if (!left || !right) return !left && !right;
  return kube::SameVersion(left->metadata(), right->metadata());
}

}  // namespace

WatchedKey::WatchedKey(async::Executor executor, async::Timeline& timeline, pods::ObjectKey key)
    : executor_(executor),
      timeline_(timeline),
      key_(std::move(key)),
      abandoned_at_(timeline.mono() + kGrace),
      wake_(executor) {}

int WatchedKey::Subscribe(std::function<void()> on_change) {
  abandoned_at_.reset();
  subscribers_.emplace(next_id_, std::move(on_change));
  return next_id_++;
}

void WatchedKey::Unsubscribe(int id) {
  subscribers_.erase(id);
  if (!subscribers_.empty()) return;
  abandoned_at_ = timeline_.mono() + kGrace;
  Notify();
}

void WatchedKey::Changed() {
  changed_ = true;
  Notify();
}

void WatchedKey::ReachabilityChanged(bool reachable) {
  if (reachable) changed_ = true;
  Notify();
  NotifyAskers();
}

void WatchedKey::Tell() {
  if (!std::exchange(changed_, false)) return;
  std::vector<int> ids;
  for (const auto& [id, on_change] : subscribers_) ids.push_back(id);
  // Each may subscribe and unsubscribe.
  for (const int id : ids) {
    const auto subscriber = subscribers_.find(id);
    if (subscriber == subscribers_.end()) continue;
    const std::function<void()> on_change = subscriber->second;
    on_change();
  }
}

Task<void> WatchedKey::Pause(std::optional<MonoTime> until) {
  Tell();
  if (abandoned()) co_return;
  if (abandoned_at_) until = until ? std::min(*until, *abandoned_at_) : *abandoned_at_;
  co_await wake_.WaitUntil(timeline_, until);
}

Task<void> WatchedKey::WaitForNews(MonoTime deadline) {
  struct Asking {
    Asking(std::set<async::Wake*>& all, async::Wake* one) : askers(all), wake(one) { askers.insert(wake); }
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;
    ~Asking() { askers.erase(wake); }
    std::set<async::Wake*>& askers;
    async::Wake* wake;
  };
  async::Wake wake(executor_);
  const Asking asking(askers_, &wake);
  co_await wake.WaitUntil(timeline_, deadline);
}

void WatchedKey::NotifyAskers() {
  for (async::Wake* asker : askers_) asker->Notify();
}

template <class T>
std::optional<typename WatchedObject<T>::Known> WatchedObject<T>::known() const {
  if (!known_ || !live() || !source_.reachable()) return known_;
  return Known{.object = known_->object, .seen_at = timeline_.Read().wall};
}

template <class T>
void WatchedObject<T>::Learn(std::shared_ptr<const T> object) {
  const WallTime now = timeline_.Read().wall;
  if (object) {
    source_.cache.Put(*object, now);
  } else {
    source_.cache.template PutAbsent<T>(key().name_space, key().name, now);
  }
  known_ = Known{.object = std::move(object), .seen_at = now};
}

template <class T>
void WatchedObject<T>::Confirm() {
  if (!known_) return;
  known_->seen_at = timeline_.Read().wall;
  source_.cache.template Confirm<T>(key().name_space, key().name, known_->seen_at);
}

// Takes over what the reflector has now.
template <class T>
void WatchedObject<T>::Look() {
  if (reflector_->synced()) {
    std::shared_ptr<const T> object = reflector_->Find(name());
    if (!known_ || !Unchanged(known_->object, object)) {
      if (known_ || answered_otherwise_) Changed();
      Learn(std::move(object));
    } else if (was_live_ != reflector_->live()) {
      Confirm();  // until now it was so, or it is so again
    }
    was_live_ = reflector_->live();
    final_ = was_live_ && known_->object && known_->object->immutable();
  }
  Notify();
  NotifyAskers();
}

template <class T>
Task<void> WatchedObject<T>::WatchNow() {
  kube::ReflectorSettings settings{
      .ns = key().name_space, .field_selector = "metadata.name=" + key().name, .newest = newest_};
  settings.rules.server_timeout = kServerTimeout;
  kube::ReflectorHandlers handlers{.on_change = [this](const kube::NamespacedName&) { Look(); },
                                   .on_complete = [this] { Look(); },
                                   .on_state = [this] { Look(); }};
  reflector_.emplace(source_.client, timeline_, source_.random, std::move(settings), std::move(handlers));
  async::TaskScope scope(executor_);
  scope.Spawn("watch " + std::string(kube::ResourceOf<T>::kValue.plural), reflector_->Run());
  bool cancelled = false;
  try {
    MonoTime confirm = timeline_.mono() + kConfirmPeriod;
    while (!final_ && !abandoned() && source_.reachable()) {
      co_await Pause(confirm);
      if (timeline_.mono() < confirm) continue;
      if (live()) Confirm();
      confirm = timeline_.mono() + kConfirmPeriod;
    }
  } catch (const boost::system::system_error& error) {
    if (error.code() != boost::asio::error::operation_aborted) throw;
    cancelled = true;
  }
  if (cancelled) co_await async::kDeafToCancellation;
  scope.Cancel();
  co_await scope.Join();
  if (was_live_ && live()) Confirm();
  was_live_ = false;
  newest_ = reflector_->newest();
  reflector_.reset();
  if (cancelled) throw boost::system::system_error(boost::asio::error::operation_aborted);
}

template <class T>
Task<void> WatchedObject<T>::Run() {
  bool was_away = false;
  while (!abandoned()) {
    if (final_ || !source_.reachable()) {
      was_away = !newest_.empty();
      co_await Pause(std::nullopt);
      continue;
    }
    if (was_away) {
      const MonoTime start =
          timeline_.mono() +
          Nanoseconds(static_cast<std::int64_t>(source_.random() * static_cast<double>(kReturnSpread.count())));
      while (timeline_.mono() < start && source_.reachable() && !abandoned()) co_await Pause(start);
      was_away = false;
      continue;
    }
    co_await WatchNow();
  }
}

template class WatchedObject<corev1::ConfigMap>;
template class WatchedObject<corev1::Secret>;

}  // namespace daemonsetd::cluster
