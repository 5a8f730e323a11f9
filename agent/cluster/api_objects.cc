#include "agent/cluster/api_objects.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/async/within_deadline.h"
#include "agent/cluster/api_objects_answers.h"
#include "agent/pods/service_links.h"

namespace daemonsetd::cluster {

using pods::Found;
using pods::ObjectKey;

namespace {

// Long enough for containers that start together, short enough for a Service that was made a moment ago.
constexpr Nanoseconds kRemember = std::chrono::seconds(10);
// Somebody waits for a change of what is asked for on demand only while something fails for want of it.
constexpr Nanoseconds kVersionPeriod = std::chrono::seconds(15);
constexpr Nanoseconds kCallTimeout = std::chrono::seconds(10);
constexpr int kPageSize = 500;
constexpr int kMaximumPages = 200;

// Of what is asked for on demand: what pods wait for.
template <class T>
constexpr std::optional<ObjectKey::Kind> kWaitedFor = std::nullopt;
template <>
constexpr std::optional<ObjectKey::Kind> kWaitedFor<corev1::ServiceAccount> = ObjectKey::Kind::kServiceAccount;
template <>
constexpr std::optional<ObjectKey::Kind> kWaitedFor<nodev1::RuntimeClass> = ObjectKey::Kind::kRuntimeClass;

// What the errors of a list are about.
template <class T>
constexpr kube::Resource ResourceFor() {
  if constexpr (std::is_same_v<T, corev1::ServiceList>) {
    return kube::kServices;
  } else {
    return kube::ResourceOf<T>::kValue;
  }
}

template <class T>
Found<T> Live(std::shared_ptr<const T> object) {
  return Found<T>{.object = std::move(object), .cached_since = std::nullopt};
}

}  // namespace

class ApiObjects::WatchSubscription final : public Subscription {
 public:
  WatchSubscription(std::shared_ptr<WatchedKey> watched, std::function<void()> on_change)
      : watched_(std::move(watched)), id_(watched_->Subscribe(std::move(on_change))) {}
  ~WatchSubscription() override { watched_->Unsubscribe(id_); }

 private:
  std::shared_ptr<WatchedKey> watched_;
  int id_;
};

// What is asked for on demand is looked at from time to time.
struct ApiObjects::WatchedVersion final : WatchedKey {
  using WatchedKey::WatchedKey;
  std::optional<std::string> version;  // uid and resourceVersion as last answered; empty: it does not exist
};

template <class T>
struct ApiObjects::OnDemand {
  explicit OnDemand(const async::Executor& executor) : turn(executor, 1) {}
  async::Semaphore turn;  // who asks the server
  std::shared_ptr<const T> object;
  MonoTime read_at;
};

ApiObjects::ApiObjects(async::Executor executor, async::Timeline& timeline, kube::Client& client, ObjectCache& cache,
                       std::function<double()> random, std::function<bool()> reachable)
    : executor_(executor),
      timeline_(timeline),
      client_(client),
      cache_(cache),
      random_(std::move(random)),
      reachable_(std::move(reachable)),
      scope_(executor) {}

void ApiObjects::ReachabilityChanged() {
  const bool reachable = reachable_();
  for (const auto& [key, watched] : watched_) watched->ReachabilityChanged(reachable);
}

Task<void> ApiObjects::Close() {
  closed_ = true;
  scope_.Cancel();
  co_await scope_.Join();
  watched_.clear();
}

// ---- Watched objects

std::shared_ptr<WatchedKey> ApiObjects::FindWatched(const ObjectKey& key) const {
  const auto found = watched_.find(key);
  return found == watched_.end() ? nullptr : found->second;
}

std::shared_ptr<WatchedKey> ApiObjects::MakeWatched(const ObjectKey& key) {
  const auto make = [&]<class T>(std::type_identity<T>) {
    auto watched = std::make_shared<WatchedObject<T>>(
        executor_, timeline_, key,
        typename WatchedObject<T>::Source{
            .client = client_, .cache = cache_, .random = random_, .reachable = reachable_});
    if (!closed_) scope_.Spawn("watch an object of a pod", WatchObject<T>(watched));
    return watched;
  };
  switch (key.kind) {
    case ObjectKey::Kind::kConfigMap: return make(std::type_identity<corev1::ConfigMap>());
    case ObjectKey::Kind::kSecret: return make(std::type_identity<corev1::Secret>());
    case ObjectKey::Kind::kServiceAccount: return MakeWatchedVersion<corev1::ServiceAccount>(key);
    case ObjectKey::Kind::kRuntimeClass: break;
  }
  return MakeWatchedVersion<nodev1::RuntimeClass>(key);
}

std::unique_ptr<pods::ObjectSource::Subscription> ApiObjects::Watch(ObjectKey key, std::function<void()> on_change) {
  std::shared_ptr<WatchedKey>& watched = watched_[key];
  if (!watched) watched = MakeWatched(key);
  return std::make_unique<WatchSubscription>(watched, std::move(on_change));
}

template <class T>
Task<void> ApiObjects::WatchObject(std::shared_ptr<WatchedObject<T>> watched) {
  // Somebody may come back at the last moment.
  while (!watched->abandoned()) co_await watched->Run();
  watched_.erase(watched->key());
}

template <class T>
std::shared_ptr<WatchedKey> ApiObjects::MakeWatchedVersion(const ObjectKey& key) {
  auto watched = std::make_shared<WatchedVersion>(executor_, timeline_, key);
  if (!closed_) scope_.Spawn("look at an object of a pod", WatchVersion<T>(watched));
  return watched;
}

template <class T>
Task<void> ApiObjects::WatchVersion(std::shared_ptr<WatchedVersion> watched) {
  MonoTime next = timeline_.mono() + kVersionPeriod;
  while (!watched->abandoned()) {
    co_await watched->Pause(next);
    if (timeline_.mono() < next) continue;
    next = timeline_.mono() + kVersionPeriod;
    if (!reachable_()) continue;
    const Result<T> answer = co_await Request(std::type_identity<T>(), watched->name(), kCallTimeout);
    const std::optional<std::string> before = watched->version;
    NoteVersion(watched->name(), answer);
    if (watched->version != before) watched->Changed();
  }
  watched_.erase(watched->key());
}

template <class T>
void ApiObjects::NoteVersion(const kube::NamespacedName& name, const Result<T>& answer) {
  const auto watched = FindWatched({.kind = *kWaitedFor<T>, .name_space = name.ns, .name = name.name});
  if (!watched) return;
  std::optional<std::string>& version = static_cast<WatchedVersion&>(*watched).version;
  if (answer) {
    version = answer->metadata().uid() + " " + answer->metadata().resourceversion();
  } else if (answer.error().kind() == ErrorKind::kAbsent) {
    version = "";
  }
}

template <class T>
Task<Result<Found<T>>> ApiObjects::GetWatched(ObjectKey::Kind kind, kube::NamespacedName name, Nanoseconds timeout) {
  const MonoTime deadline = timeline_.mono() + timeout;
  const ObjectKey key{.kind = kind, .name_space = name.ns, .name = name.name};
  const auto watched = std::static_pointer_cast<WatchedObject<T>>(FindWatched(key));
  // The watch brings the answer: nothing is asked twice.
  while (watched && reachable_() && !watched->live() && !watched->failing() && !closed_ &&
         timeline_.mono() < deadline) {
    co_await watched->WaitForNews(deadline);
  }
  if (watched && reachable_() && watched->live()) {
    const auto known = watched->known();
    if (!known->object) co_return NotFound(ResourceFor<T>(), name.name);
    co_return Live(known->object);
  }
  if (watched) watched->AnsweredOtherwise();
  if (reachable_()) {
    if (timeline_.mono() >= deadline) co_return NoAnswer(ResourceFor<T>(), name.name);
    Result<T> answer = co_await Request(std::type_identity<T>(), name, deadline - timeline_.mono());
    if (answer) {
      const auto object = std::make_shared<const T>(std::move(*answer));
      if (watched) watched->Learn(object);
      co_return Live<T>(object);
    }
    if (answer.error().kind() == ErrorKind::kAbsent && watched) watched->Learn(nullptr);
    if (reachable_() || !pods::IsUnknown(answer.error())) co_return answer.error();
  }
  const auto known = watched ? watched->known() : std::nullopt;
  if (!known) co_return Offline<T>(name);
  if (!known->object) co_return NotFoundSince(ResourceFor<T>(), name.name, known->seen_at);
  co_return Found<T>{.object = known->object, .cached_since = known->seen_at};
}

Task<Result<Found<corev1::ConfigMap>>> ApiObjects::GetConfigMap(std::string name_space, std::string name,
                                                                Nanoseconds timeout) {
  return GetWatched<corev1::ConfigMap>(ObjectKey::Kind::kConfigMap, {std::move(name_space), std::move(name)}, timeout);
}

Task<Result<Found<corev1::Secret>>> ApiObjects::GetSecret(std::string name_space, std::string name,
                                                          Nanoseconds timeout) {
  return GetWatched<corev1::Secret>(ObjectKey::Kind::kSecret, {std::move(name_space), std::move(name)}, timeout);
}

// ---- Asked for on demand

template <class T>
Task<Result<Found<T>>> ApiObjects::GetOnDemand(OnDemandMap<T>* known, kube::NamespacedName name, Nanoseconds timeout) {
  if (!reachable_()) co_return Offline<T>(name);
  const MonoTime deadline = timeline_.mono() + timeout;
  std::shared_ptr<OnDemand<T>>& slot = (*known)[name];
  if (!slot) slot = std::make_shared<OnDemand<T>>(executor_);
  const std::shared_ptr<OnDemand<T>> entry = slot;
  const auto is_fresh = [this, &entry] { return entry->object && timeline_.mono() - entry->read_at < kRemember; };
  if (is_fresh()) co_return Live(entry->object);
  const std::optional<async::Semaphore::Permit> turn =
      co_await async::WithinDeadline(&timeline_, deadline, entry->turn.Acquire());
  if (!reachable_()) co_return Offline<T>(name);
  if (is_fresh()) co_return Live(entry->object);
  if (!turn || timeline_.mono() >= deadline) {
    co_return CachedInstead<T>(name, NoAnswer(ResourceFor<T>(), name.name));
  }
  Result<T> answer = co_await Request(std::type_identity<T>(), name, deadline - timeline_.mono());
  if constexpr (kWaitedFor<T>) NoteVersion(name, answer);
  if (!answer) {
    entry->object.reset();
    co_return CachedInstead<T>(name, answer.error());
  }
  entry->object = std::make_shared<const T>(std::move(*answer));
  entry->read_at = timeline_.mono();
  if (!closed_) scope_.Spawn("forget an answer", Forget(entry));
  co_return Live(entry->object);
}

// The Services of a large namespace take room that nobody needs afterwards.
template <class T>
Task<void> ApiObjects::Forget(std::shared_ptr<OnDemand<T>> entry) {
  co_await timeline_.SleepUntil(entry->read_at + kRemember);
  if (timeline_.mono() - entry->read_at >= kRemember) entry->object.reset();
}

Task<Result<Found<corev1::ServiceAccount>>> ApiObjects::GetServiceAccount(std::string name_space, std::string name,
                                                                          Nanoseconds timeout) {
  return GetOnDemand(&accounts_, {std::move(name_space), std::move(name)}, timeout);
}

Task<Result<Found<corev1::Service>>> ApiObjects::GetService(std::string name_space, std::string name,
                                                            Nanoseconds timeout) {
  return GetOnDemand(&services_, {std::move(name_space), std::move(name)}, timeout);
}

Task<Result<Found<corev1::ServiceList>>> ApiObjects::ListServices(std::string name_space, Nanoseconds timeout) {
  return GetOnDemand(&service_lists_, {std::move(name_space), ""}, timeout);
}

Task<Result<Found<nodev1::RuntimeClass>>> ApiObjects::GetRuntimeClass(std::string name, Nanoseconds timeout) {
  return GetOnDemand(&runtime_classes_, {"", std::move(name)}, timeout);
}

// ---- The server and the checkpoint

template <class T>
Result<Found<T>> ApiObjects::Offline(const kube::NamespacedName& name) const {
  if (auto cached = cache_.Find<T>(name.ns, name.name)) {
    return Found<T>{.object = std::move(cached->object), .cached_since = cached->seen_at};
  }
  if (const auto since = cache_.FindAbsent<T>(name.ns, name.name)) {
    return NotFoundSince(ResourceFor<T>(), name.name, *since);
  }
  return NeverRead(ResourceFor<T>(), name.name);
}

// A server that answers others may still not answer this, and a container must not wait for its Services (OF-12).
template <class T>
Result<Found<T>> ApiObjects::CachedInstead(const kube::NamespacedName& name, const Error& error) const {
  if (!pods::IsUnknown(error)) return error;
  Result<Found<T>> cached = Offline<T>(name);
  if (reachable_() && !cached && pods::IsUnknown(cached.error())) return error;
  return cached;
}

template <class T>
Task<Result<T>> ApiObjects::Request(std::type_identity<T>, kube::NamespacedName name, Nanoseconds timeout) {
  constexpr kube::Resource kResource = kube::ResourceOf<T>::kValue;
  const kube::CallOptions options{.timeout = timeout};
  Result<T> answer = co_await client_.Get<T>(name, options);
  const WallTime now = timeline_.Read().wall;
  if (answer) {
    answer->mutable_metadata()->clear_managedfields();
    cache_.Put(*answer, now);
    co_return answer;
  }
  if (answer.error().kind() == ErrorKind::kAbsent) {
    cache_.PutAbsent<T>(name.ns, name.name, now);
    co_return NotFound(kResource, name.name);
  }
  co_return WithMissingRight(answer.error(), "get", kResource.plural, name.ns);
}

Task<Result<corev1::ServiceList>> ApiObjects::Request(std::type_identity<corev1::ServiceList>,
                                                      kube::NamespacedName name, Nanoseconds timeout) {
  const MonoTime deadline = timeline_.mono() + timeout;
  Result<corev1::ServiceList> list = co_await ListAll(name.ns, deadline);
  // The pages' common snapshot may be dropped under way.
  if (!list && list.error().kind() == ErrorKind::kGone) list = co_await ListAll(name.ns, deadline);
  if (!list && list.error().kind() == ErrorKind::kGone) {
    co_return Error(ErrorKind::kRetry, list.error().message());
  }
  if (!list) co_return WithMissingRight(list.error(), "list", kube::kServices.plural, name.ns);
  cache_.PutServices(name.ns, *list, timeline_.Read().wall);
  co_return list;
}

Task<Result<corev1::ServiceList>> ApiObjects::ListAll(std::string ns, MonoTime deadline) {
  corev1::ServiceList all;
  kube::ListOptions options{.limit = kPageSize};
  for (int pages = 0; pages < kMaximumPages; ++pages) {
    const kube::CallOptions call{.timeout = std::max(Nanoseconds::zero(), deadline - timeline_.mono())};
    Result<kube::Client::Page<corev1::Service>> page = co_await client_.List<corev1::Service>(ns, options, call);
    if (!page) co_return page.error();
    for (corev1::Service& service : page->items) {
      service.mutable_metadata()->clear_managedfields();
      *all.add_items() = std::move(service);
    }
    if (page->continue_token.empty()) co_return all;
    options.continue_token = page->continue_token;
  }
  co_return Error(ErrorKind::kInvalid, fmt::format("list services in {}: the list has no end", ns));
}

void ApiObjects::KeepOnly(const std::vector<std::shared_ptr<const corev1::Pod>>& hosted) {
  NamedByPod named;
  for (const auto& pod : hosted) AddNames(*pod, named);
  for (const kube::NamespacedName& name : named.accounts) {
    const auto account = cache_.Find<corev1::ServiceAccount>(name.ns, name.name);
    if (!account) continue;
    for (const auto& secret : account->object->imagepullsecrets()) named.secrets.emplace(name.ns, secret.name());
  }
  const auto keep_only = [this]<class T>(std::type_identity<T>, ObjectKey::Kind kind,
                                         const std::set<kube::NamespacedName>& keep) {
    for (const kube::NamespacedName& name : cache_.Names<T>()) {
      const bool is_watched = watched_.contains({.kind = kind, .name_space = name.ns, .name = name.name});
      if (!keep.contains(name) && !is_watched) cache_.Remove<T>(name.ns, name.name);
    }
  };
  keep_only(std::type_identity<corev1::ConfigMap>(), ObjectKey::Kind::kConfigMap, named.config_maps);
  keep_only(std::type_identity<corev1::Secret>(), ObjectKey::Kind::kSecret, named.secrets);
  keep_only(std::type_identity<corev1::ServiceAccount>(), ObjectKey::Kind::kServiceAccount, named.accounts);
  keep_only(std::type_identity<nodev1::RuntimeClass>(), ObjectKey::Kind::kRuntimeClass, named.runtime_classes);
  std::set<kube::NamespacedName> pods;
  for (const auto& pod : hosted) pods.emplace(pod->metadata().namespace_(), pod->metadata().name());
  KeepTokensOf(pods);
  for (const kube::NamespacedName& name : cache_.Names<corev1::ServiceList>()) {
    if (!named.namespaces.contains(name.ns)) cache_.Remove<corev1::ServiceList>(name.ns, name.name);
  }
  for (const kube::NamespacedName& name : cache_.Names<corev1::Service>()) {
    const bool is_master = name.ns == pods::kMasterServiceNamespace && name.name == pods::kMasterService;
    if (!is_master || hosted.empty()) cache_.Remove<corev1::Service>(name.ns, name.name);
  }
}

}  // namespace daemonsetd::cluster
